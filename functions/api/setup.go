package api

import (
	"bytes"
	"errors"
	"io"

	"emailchannel.dev/emailchannel/shared/channel"
)

func (s *server) exportSettings(c *call) (any, error) {
	e, err := s.Admin.Export(c.ctx())
	if err != nil {
		return nil, err
	}
	return tagged{e.Tag, download{name: "settings.yaml", mediaType: "application/yaml", body: io.NopCloser(bytes.NewReader(e.File))}}, nil
}

// imported is what an import changed, its entries without what only
// preconditions need.
type imported struct {
	DryRun  bool        `json:"dry_run"`
	Changes []auditView `json:"changes"`
}

func (s *server) importSettings(c *call) (any, error) {
	q, err := c.query("prune", "dry_run")
	if err != nil {
		return nil, err
	}
	var o channel.ImportOptions
	var bad channel.Invalid
	truth(q, "prune", &o.Prune, &bad)
	truth(q, "dry_run", &o.DryRun, &bad)
	if len(bad.Fields) > 0 {
		return nil, &bad
	}
	body, err := c.content("application/yaml", maxSetup)
	if err != nil {
		return nil, err
	}
	file, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	admin, err := s.admin(c)
	if err != nil {
		return nil, err
	}
	setup, err := channel.ParseSetup(file)
	var misfits *channel.Invalid
	if errors.As(err, &misfits) && setup != nil {
		admin = admin.Besides(misfits)
	} else if err != nil {
		return nil, err
	}
	done, err := admin.Import(c.ctx(), setup, o)
	if err != nil {
		return nil, err
	}
	out := imported{DryRun: done.DryRun}
	for _, e := range done.Changes {
		out.Changes = append(out.Changes, auditView{Audit: e})
	}
	return out, nil
}

// truth reads a parameter that is true or false.
func truth(q map[string]string, name string, to *bool, bad *channel.Invalid) {
	v, given := q[name]
	if *to = v == "true"; given && !*to && v != "false" {
		bad.Fields = append(bad.Fields, channel.Field{Name: name, Message: "must be true or false"})
	}
}
