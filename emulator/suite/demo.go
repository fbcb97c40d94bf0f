package suite

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net"
	"strconv"
	"time"

	"emailchannel.dev/emailchannel/emulator/zendesk"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/reply"
	"emailchannel.dev/emailchannel/shared/route"
	"emailchannel.dev/emailchannel/shared/session"
)

// DemoPassword is the password of every mailbox of the suite.
const DemoPassword = "demo"

// DemoTokens are the API's bearer tokens, as token=role:address.
const DemoTokens = "agent-token=agent:ana@example.com,supervisor-token=supervisor:sam@example.com,admin-token=admin:admin@example.com,service-token=service:service@example.com"

// logoObject is the demo's inline image in the archive.
const logoObject = "settings/logo.png"

// Demo is the configuration that a fresh suite starts with: three queues in
// two languages, five agents in two teams, four accounts of which one only
// sends, business hours, a signature and auto-responses with an inline image.
func (s *Suite) Demo() channel.Seed {
	return channel.Seed{
		Settings: channel.Settings{
			Email: true, Queues: true, Company: "Example & Co", Session: session.Default(), Caps: reply.DefaultCaps(),
			Record:     crm.Default(),
			CRM:        channel.CRMSettings{Kind: "zendesk", BaseURL: "http://" + s.Addrs.Zendesk, User: "channel@example.com", Secret: "zendesk", Seconds: 1},
			ConsoleURL: "http://" + s.Addrs.HTTP,
		},
		Accounts: []channel.Account{
			s.account("support", "support@example.com", false), s.account("billing", "billing@example.com", false),
			s.account("hilfe", "hilfe@example.com", false), s.account("no-answer", "robot@example.com", true),
		},
		Teams: []channel.Team{{ID: "first-line", Name: "First line"}, {ID: "hilfe", Name: "Hilfe"}},
		Agents: []channel.Agent{
			agent("ana@example.com", "Ana Silva", "first-line"), agent("ben@example.com", "Ben Okafor", "first-line"),
			agent("cho@example.com", "Cho Min-seo"), agent("dora@example.com", "Dora Lang", "hilfe"), agent("emil@example.com", "Emil Vogel", "hilfe"),
			{ID: "sam@example.com", Name: "Sam Reyes", Role: "supervisor"},
		},
		Queues: []channel.Queue{
			{
				ID: "support", Name: "Support", Language: "en", On: true, Order: 1, Accounts: []string{"support"}, Teams: []string{"first-line"},
				Assign:    route.Policy{On: true},
				Hours:     always(),
				Response:  response("<p>Hello @{consumer},</p><p>thank you for writing to @{company}. Somebody of our @{queue} team answers you soon.</p>"),
				Signature: channel.Signature{On: true, HTML: `<p>@{agent}<br>@{company}<br>@{alias}</p>`},
			},
			{
				ID: "billing", Name: "Billing", Language: "en", On: true, Order: 2, Accounts: []string{"billing"}, Agents: []string{"ben@example.com", "cho@example.com"},
				Assign:   route.Policy{On: true},
				Hours:    office("America/New_York"),
				Response: response("<p>Hello @{consumer},</p><p>we got your mail on @{date} at @{time}. Our next working day is @{next_working_date}.</p>"),
			},
			{
				ID: "hilfe", Name: "Hilfe", Language: "de", On: true, Order: 3, Accounts: []string{"hilfe"}, Teams: []string{"hilfe"},
				Assign:   route.Policy{On: true},
				Hours:    office("Europe/Berlin"),
				Response: response("<p>Guten Tag @{consumer},</p><p>vielen Dank für Ihre Nachricht. @{company} meldet sich bald.</p>"),
			},
		},
		Secrets: map[string]string{
			"account-support": DemoPassword, "account-billing": DemoPassword, "account-hilfe": DemoPassword, "account-no-answer": DemoPassword,
			"zendesk": zendesk.DefaultToken,
		},
	}
}

func (s *Suite) account(id, address string, outboundOnly bool) channel.Account {
	a := channel.Account{
		ID: id, User: address, Address: address, Service: "imap", Outgoing: s.server(s.Addrs.SMTP), Secret: "account-" + id, OutboundOnly: outboundOnly,
		Status: channel.AccountStatus{Valid: true, CheckedAt: s.Clock.Now(), LastSuccess: s.Clock.Now()},
	}
	if !outboundOnly {
		a.Incoming, a.Folders = s.server(s.Addrs.IMAP), []string{"INBOX"}
	}
	return a
}

func (s *Suite) server(addr string) channel.Server {
	host, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return channel.Server{Host: host, Port: n, Security: "none"}
}

func agent(id, name string, teams ...string) channel.Agent {
	return channel.Agent{ID: id, Name: name, Alias: id, Role: "agent", Teams: teams, LoggedIn: true}
}

func response(html string) channel.AutoResponse {
	return channel.AutoResponse{
		On: true, HTML: html + `<p><img src="cid:logo" alt="logo"></p>`,
		Inline: []channel.File{{Name: "logo.png", Type: "image/png", ContentID: "logo", Object: logoObject, Size: int64(len(logo()))}},
	}
}

func always() hours.Hours { return hours.Hours{Zone: "UTC"} }

// office is Monday to Friday, nine to five, and not on New Year.
func office(zone string) hours.Hours {
	h := hours.Hours{Zone: zone, Holidays: []hours.Holiday{{Name: "New Year", Date: hours.Date{Year: 2026, Month: time.January, Day: 1}, Recurring: true}}}
	for day := time.Monday; day <= time.Friday; day++ {
		h.Week = append(h.Week, hours.Interval{Day: day, From: 9 * 60, To: 17 * 60})
	}
	return h
}

// logo draws the demo's image.
func logo() []byte {
	img := image.NewRGBA(image.Rect(0, 0, 64, 16))
	for x := range 64 {
		for y := range 16 {
			img.Set(x, y, color.RGBA{R: uint8(4 * x), G: 64, B: 160, A: 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // an image in memory always encodes
	}
	return b.Bytes()
}
