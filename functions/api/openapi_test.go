package api

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"gopkg.in/yaml.v3"

	"emailchannel.dev/emailchannel/shared/archive"
	"emailchannel.dev/emailchannel/shared/auth"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/reply"
	routing "emailchannel.dev/emailchannel/shared/route"
	"emailchannel.dev/emailchannel/shared/session"
	"emailchannel.dev/emailchannel/shared/wire"
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestEveryRouteIsDescribed holds the table of routes against the document,
// both ways, with roles and the status of success.
func TestEveryRouteIsDescribed(t *testing.T) {
	doc := load(t)
	described := map[string]*openapi3.Operation{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			described[method+" "+path] = op
		}
	}
	for _, rt := range (&server{}).routes() {
		name := rt.method + " " + rt.path
		op := described[name]
		if op == nil {
			t.Errorf("%s is not described", name)
			continue
		}
		delete(described, name)
		if rt.roles != nil && !slices.Equal(roles(op), rt.roles) {
			t.Errorf("%s: described for %v, served for %v", name, roles(op), rt.roles)
		}
		if public := op.Security != nil && len(*op.Security) == 0; public != (rt.roles == nil) {
			t.Errorf("%s: described as public: %t, served for %v", name, public, rt.roles)
		}
		if op.Responses.Status(rt.status) == nil {
			t.Errorf("%s: its status %d is not described", name, rt.status)
		}
		if op.Responses.Default() == nil {
			t.Errorf("%s: its failures are not described", name)
		}
	}
	for name := range described {
		t.Errorf("%s is described and not served", name)
	}
}

func roles(op *openapi3.Operation) []auth.Role {
	var out []auth.Role
	list, _ := op.Extensions["x-roles"].([]any)
	for _, v := range list {
		out = append(out, auth.Role(v.(string)))
	}
	return out
}

// TestSchemasHaveTheFieldsOfTheirTypes holds every schema against the type
// that is written or read by it.
func TestSchemasHaveTheFieldsOfTheirTypes(t *testing.T) {
	types := map[string]reflect.Type{
		"Problem": reflect.TypeFor[problem](), "Field": reflect.TypeFor[channel.Field](), "Address": reflect.TypeFor[email.Address](),
		"Settings": reflect.TypeFor[channel.Settings](), "SettingsInput": reflect.TypeFor[settingsBody](), "SessionSettings": reflect.TypeFor[session.Settings](), "Threshold": reflect.TypeFor[session.Threshold](),
		"Caps": reflect.TypeFor[reply.Caps](), "CRM": reflect.TypeFor[channel.CRMSettings](), "RecordSettings": reflect.TypeFor[crm.Settings](),
		"Audit": reflect.TypeFor[auditView](), "FieldChange": reflect.TypeFor[channel.FieldChange](), "Happened": reflect.TypeFor[channel.Happened](), "Imported": reflect.TypeFor[imported](),
		"Account": reflect.TypeFor[accountView](), "AccountInput": reflect.TypeFor[accountBody](), "AccountStatus": reflect.TypeFor[channel.AccountStatus](), "Server": reflect.TypeFor[channel.Server](),
		"Queue": reflect.TypeFor[queueView](), "Policy": reflect.TypeFor[routing.Policy](), "Hours": reflect.TypeFor[hours.Hours](), "Interval": reflect.TypeFor[hours.Interval](), "Holiday": reflect.TypeFor[hours.Holiday](), "HolidayImport": reflect.TypeFor[channel.HolidayImport](), "SkippedEvent": reflect.TypeFor[hours.Skipped](),
		"AutoResponse": reflect.TypeFor[channel.AutoResponse](), "File": reflect.TypeFor[channel.File](), "Signature": reflect.TypeFor[channel.Signature](),
		"Agent": reflect.TypeFor[channel.Agent](), "AgentInput": reflect.TypeFor[agentBody](), "Presence": reflect.TypeFor[channel.Presence](), "CustomStatus": reflect.TypeFor[channel.CustomStatus](), "Daily": reflect.TypeFor[channel.Daily](), "Team": reflect.TypeFor[channel.Team](),
		"Session": reflect.TypeFor[channel.Session](), "Message": reflect.TypeFor[channel.Message](), "Attachment": reflect.TypeFor[channel.Attachment](), "Upload": reflect.TypeFor[channel.Upload](), "Inline": reflect.TypeFor[channel.Inline](), "History": reflect.TypeFor[historyView](),
		"Decision": reflect.TypeFor[channel.Decision](), "Decisions": reflect.TypeFor[channel.Decisions](), "Wait": reflect.TypeFor[channel.Wait](), "Standing": reflect.TypeFor[channel.Standing](),
		"Mail": reflect.TypeFor[letter](), "Sent": reflect.TypeFor[channel.Sent](), "StateResult": reflect.TypeFor[channel.StateResult](),
		"Outbound": reflect.TypeFor[channel.Outbound](), "Quarantined": reflect.TypeFor[channel.Quarantined](), "Received": reflect.TypeFor[event.Received](),
		"Storage": reflect.TypeFor[channel.Storage](), "StorageInput": reflect.TypeFor[storageBody](), "S3Key": reflect.TypeFor[archive.S3Key](), "Destination": reflect.TypeFor[channel.Destination](), "StorageTest": reflect.TypeFor[storageTest](),
		"StatesReport": reflect.TypeFor[reportView[statesView]](), "StatesLine": reflect.TypeFor[statesView](), "ActivityReport": reflect.TypeFor[reportView[activityView]](), "ActivityLine": reflect.TypeFor[activityView](),
		"Viewer": reflect.TypeFor[channel.Viewer](), "Hold": reflect.TypeFor[channel.Hold](), "Erasure": reflect.TypeFor[channel.ErasureReceipt](), "ErasedItem": reflect.TypeFor[channel.ErasedItem](), "Replayed": reflect.TypeFor[channel.Replayed](), "Difference": reflect.TypeFor[channel.Difference](),
		"Reconciliation": reflect.TypeFor[channel.Reconciliation](), "DeadLetter": reflect.TypeFor[channel.DeadLetter](), "Operation": reflect.TypeFor[channel.Operation](),
	}
	written := map[string]bool{"Time": true, "State": true, "NewMail": true, "Thing": true} // words, and one that the walk sends
	for name, ref := range load(t).Components.Schemas {
		typ, ok := types[name]
		if !ok {
			if !written[name] {
				t.Errorf("schema %s belongs to no type", name)
			}
			continue
		}
		var want, got []string
		for _, f := range wire.Fields(typ) {
			want = append(want, f.Name)
		}
		for f := range ref.Value.Properties {
			got = append(got, f)
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("schema %s has %v, its type %v", name, got, want)
		}
	}
}

// TestTheDocumentIsPlainYAML: anchors and merge keys are not JSON, and many
// readers of OpenAPI know only that.
func TestTheDocumentIsPlainYAML(t *testing.T) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		t.Fatal(err)
	}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Anchor != "" || n.Kind == yaml.AliasNode || n.Tag == "!!merge" {
			t.Errorf("line %d: an anchor, alias or merge key", n.Line)
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(&root)
	if !strings.HasPrefix(string(document), "openapi: 3.1.") {
		t.Error("the document is not OpenAPI 3.1")
	}
}
