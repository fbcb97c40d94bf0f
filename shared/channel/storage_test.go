package channel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
)

const s3Credentials = `{"access_key":"AKIAEXAMPLE","secret_key":"hunter2"}`

func inS3(bucket, folder string) channel.Storage {
	return channel.Storage{Destination: channel.Destination{Kind: "s3", Bucket: bucket, Folder: folder, Region: "eu-central-1"}}
}

func TestStorageNamesEachBadField(t *testing.T) {
	s3 := func(change func(*channel.Destination)) channel.Storage {
		d := channel.Destination{Kind: "s3", Bucket: "mail", Folder: "a/b", Region: "eu-central-1", Secret: "storage-x"}
		change(&d)
		return channel.Storage{Period: "90d", Destination: d}
	}
	gcs := func(d channel.Destination) channel.Storage {
		d.Kind = "gcs"
		return channel.Storage{Destination: d}
	}
	type D = channel.Destination
	for name, c := range map[string]struct {
		s   channel.Storage
		bad string
	}{
		"nothing set":      {channel.Storage{}, ""},
		"unlimited":        {channel.Storage{Period: "unlimited"}, ""},
		"s3":               {s3(func(*D) {}), ""},
		"other server":     {s3(func(d *D) { d.Region, d.Endpoint, d.PathStyle = "", "https://minio.example:9000", true }), ""},
		"gcs":              {gcs(D{Bucket: "my.mail_bucket", Folder: "/mail/"}), ""},
		"unknown period":   {channel.Storage{Period: "31d"}, "period"},
		"unknown kind":     {channel.Storage{Destination: D{Kind: "ftp"}}, "destination.kind"},
		"kind missing":     {channel.Storage{Destination: D{Bucket: "mail"}}, "destination.kind"},
		"no bucket":        {s3(func(d *D) { d.Bucket = "" }), "destination.bucket"},
		"bad S3 bucket":    {s3(func(d *D) { d.Bucket = "My_Bucket" }), "destination.bucket"},
		"two dots":         {s3(func(d *D) { d.Bucket = "a..b" }), "destination.bucket"},
		"bad GCS bucket":   {gcs(D{Bucket: "-mail"}), "destination.bucket"},
		"no region":        {s3(func(d *D) { d.Region = "" }), "destination.region"},
		"bad region":       {s3(func(d *D) { d.Region = "eu central" }), "destination.region"},
		"bad endpoint":     {s3(func(d *D) { d.Endpoint = "s3.example.com" }), "destination.endpoint"},
		"password inside":  {s3(func(d *D) { d.Endpoint = "https://a:b@s3.example.com" }), "destination.endpoint"},
		"no secret":        {s3(func(d *D) { d.Secret = "" }), "destination.secret"},
		"account's secret": {s3(func(d *D) { d.Secret = "account-support" }), "destination.secret"},
		"folder above":     {s3(func(d *D) { d.Folder = "a/../b" }), "destination.folder"},
		"double slash":     {s3(func(d *D) { d.Folder = "a//b" }), "destination.folder"},
		"control":          {s3(func(d *D) { d.Folder = "a\nb" }), "destination.folder"},
		"S3's in gcs":      {gcs(D{Bucket: "mail", Endpoint: "https://x.example", Region: "r", PathStyle: true, Secret: "s"}), "destination.endpoint destination.region destination.path_style destination.secret"},
		"everything":       {channel.Storage{Period: "x", Destination: D{Kind: "s3", Folder: ".."}}, "period destination.bucket destination.region destination.secret destination.folder"},
	} {
		t.Run(name, func(t *testing.T) {
			var names []string
			var bad *channel.Invalid
			if err := c.s.Validate(); errors.As(err, &bad) {
				for _, f := range bad.Fields {
					names = append(names, f.Name)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(names, " "); got != c.bad {
				t.Errorf("bad fields: %q, want %q", got, c.bad)
			}
		})
	}
}

// storing is an admin of storage whose probes are remembered.
func (d *desks) storing(probed *[]string) *channel.AdminStorage {
	return &channel.AdminStorage{Admin: &d.admin, Probe: func(_ context.Context, at channel.Destination, credentials string) error {
		*probed = append(*probed, at.Bucket+" "+at.Secret+" "+credentials)
		return errors.New("write: S3 answered 403 AccessDenied")
	}}
}

func TestSaveAndTestStorage(t *testing.T) {
	d := newDesks(t)
	var probed []string
	a := d.storing(&probed)
	version := doc[channel.Settings](d, "settings/channel").Version
	saved, err := a.PutStorage(t.Context(), inS3("mail", "a"), s3Credentials)
	if err != nil {
		t.Fatal(err)
	}
	secret := saved.Destination.Secret
	if got, err := d.secrets.Get(t.Context(), secret); got != s3Credentials || !strings.HasPrefix(secret, "storage-") {
		t.Errorf("the secret %s: %q, %v", secret, got, err)
	}
	if !slices.Equal(saved.Earlier, []channel.Destination{{}}) {
		t.Errorf("earlier destinations: %+v", saved.Earlier)
	}
	if set := doc[channel.Settings](d, "settings/channel"); set.Version != version+1 || set.Storage.Destination != saved.Destination || !set.Email || strings.Contains(fmt.Sprint(set), "hunter2") {
		t.Errorf("the settings: %+v", set)
	}
	// The same bucket needs no credentials again, and another folder of it is another destination.
	saved, err = a.PutStorage(t.Context(), inS3("mail", "b"), "")
	if err != nil || len(saved.Earlier) != 2 || saved.Earlier[0].Folder != "a" || saved.Destination.Secret != secret {
		t.Errorf("another folder: %+v, %v", saved, err)
	}
	saved, err = a.PutStorage(t.Context(), channel.Storage{Period: channel.Days90}, "")
	if err != nil || len(saved.Earlier) != 2 || saved.Earlier[0].Folder != "b" {
		t.Errorf("back to the first: %+v, %v", saved, err)
	}
	if err := a.TestStorage(t.Context(), inS3("other", ""), s3Credentials); err == nil || err.Error() != "write: S3 answered 403 AccessDenied" {
		t.Errorf("test: %v", err)
	}
	if len(probed) != 1 || !strings.HasPrefix(probed[0], "other storage-") || !strings.HasSuffix(probed[0], s3Credentials) {
		t.Errorf("probed %q", probed)
	}
	if _, err := d.secrets.Get(t.Context(), strings.Fields(probed[0])[1]); err == nil {
		t.Error("a test saved the credentials")
	}
}

// Whoever saves the other settings says nothing about storage.
func TestSettingsKeepTheStorage(t *testing.T) {
	d := newDesks(t)
	a := channel.AdminStorage{Admin: &d.admin}
	if _, err := a.PutStorage(t.Context(), channel.Storage{Period: channel.Days90}, ""); err != nil {
		t.Fatal(err)
	}
	want, err := a.PutStorage(t.Context(), channel.Storage{Period: channel.Days30, Destination: channel.Destination{Kind: "gcs", Bucket: "other"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	set, err := d.admin.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sent := range []channel.Storage{{}, {Period: channel.Years3, Destination: channel.Destination{Kind: "gcs", Bucket: "mine"}}} {
		set.Company, set.Storage = "Example", sent
		saved, err := d.admin.PutSettings(t.Context(), *set, "")
		if err != nil {
			t.Fatal(err)
		}
		now, err := a.Storage(t.Context())
		if err != nil || !reflect.DeepEqual(now, want) || !reflect.DeepEqual(saved.Storage, *want) {
			t.Errorf("storage is %+v and was %+v, %v", now, want, err)
		}
	}
}

func TestStorageIsRefused(t *testing.T) {
	d := newDesks(t)
	var probed []string
	a := d.storing(&probed)
	for name, c := range map[string]struct {
		s           channel.Storage
		credentials string
		field       string
	}{
		"no credentials yet":    {inS3("mail", ""), "", "credentials"},
		"no JSON":               {inS3("mail", ""), "hunter2", "credentials"},
		"half a key":            {inS3("mail", ""), `{"access_key":"A"}`, "credentials"},
		"for Cloud Storage":     {channel.Storage{Destination: channel.Destination{Kind: "gcs", Bucket: "mail"}}, s3Credentials, "credentials"},
		"into another's secret": {channel.Storage{Destination: channel.Destination{Kind: "s3", Bucket: "mail", Region: "r", Secret: "crm-token"}}, s3Credentials, "destination.secret"},
		"clear text":            {channel.Storage{Destination: channel.Destination{Kind: "s3", Bucket: "mail", Endpoint: "http://s3.example.com"}}, s3Credentials, "destination.endpoint"},
		"bad field":             {channel.Storage{Period: "1d"}, "", "period"},
	} {
		t.Run(name, func(t *testing.T) {
			var bad *channel.Invalid
			if _, err := a.PutStorage(t.Context(), c.s, c.credentials); !errors.As(err, &bad) || len(bad.Fields) != 1 || bad.Fields[0].Name != c.field || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("save: %v", err)
			}
			if err := a.TestStorage(t.Context(), c.s, c.credentials); !errors.As(err, &bad) || len(probed) != 0 {
				t.Errorf("test: %v", err)
			}
		})
	}
	for i := range 20 {
		_, err := a.PutStorage(t.Context(), inS3(fmt.Sprintf("mail-%d", i), ""), s3Credentials)
		var bad *channel.Invalid
		if i < 8 && err != nil || i >= 8 && (!errors.As(err, &bad) || bad.Fields[0].Name != "destination") {
			t.Fatalf("destination %d: %v", i, err)
		}
	}
	if s, err := a.Storage(t.Context()); err != nil || len(s.Earlier) != 8 || s.Destination.Bucket != "mail-7" {
		t.Errorf("stored: %+v, %v", s, err)
	}
}

// down is a destination that cannot be reached.
type down struct{ channel.Objects }

var errDown = errors.New("503 SlowDown")

func (down) Open(context.Context, string) (io.ReadCloser, error) { return nil, errDown }
func (down) Delete(context.Context, string) error                { return errDown }

func TestDestinations(t *testing.T) {
	d := newDesks(t)
	var probed []string
	admin := d.storing(&probed)
	buckets := map[string]channel.Objects{"local": &deskArchive{objects: map[string][]byte{}}, "one": &deskArchive{objects: map[string][]byte{}}, "two": &deskArchive{objects: map[string][]byte{}}}
	connections := 0
	var all *channel.Destinations
	to := func(s channel.Storage, credentials string) {
		if _, err := admin.PutStorage(t.Context(), s, credentials); err != nil {
			t.Fatal(err)
		}
		connections = 0
		all = &channel.Destinations{Config: d.fresh(), Local: buckets["local"], Connect: func(_ context.Context, at channel.Destination) (channel.Objects, error) {
			connections++
			return buckets[at.Bucket], nil
		}}
	}
	put := func(name string) {
		if err := all.Put(t.Context(), name, "text/plain", strings.NewReader("content of "+name)); err != nil {
			t.Fatal(err)
		}
	}
	open := func(name string) string {
		r, err := all.Open(t.Context(), name)
		if err != nil {
			return err.Error()
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	to(channel.Storage{Period: channel.Days30}, "")
	put("a")
	to(inS3("one", ""), s3Credentials)
	put("b")
	to(inS3("two", ""), s3Credentials)
	put("c")
	put("a") // a mail that is delivered once more
	for _, name := range []string{"a", "b", "c"} {
		if got := open(name); got != "content of "+name {
			t.Errorf("open %s: %s", name, got)
		}
	}
	if connections != 2 {
		t.Errorf("%d connections to two destinations", connections)
	}
	if got := buckets["two"].(*deskArchive).names(""); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("the present destination holds %q", got)
	}
	if _, err := all.Open(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a name that holds nothing: %v", err)
	}
	for range 2 {
		if err := all.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	var left []string
	if err := all.List(t.Context(), "", func(name string, _ int64) error { left = append(left, name); return nil }); err != nil || !slices.Equal(left, []string{"c", "b"}) {
		t.Errorf("after the deletion: %q, %v", left, err)
	}
	// With one destination away nobody knows that an object is not there.
	buckets["one"] = down{}
	to(inS3("two", "x"), "")
	if got := open("c"); got != "content of c" {
		t.Errorf("in a destination that works: %s", got)
	}
	if _, err := all.Open(t.Context(), "b"); !errors.Is(err, errDown) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in one that does not: %v", err)
	}
	if err := all.Delete(t.Context(), "c"); !errors.Is(err, errDown) {
		t.Errorf("delete: %v", err)
	}
	if got := open("c"); strings.HasPrefix(got, "content") {
		t.Error("the destinations that work still have it")
	}
}
