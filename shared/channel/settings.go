package channel

import (
	"time"

	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/reply"
	"emailchannel.dev/emailchannel/shared/route"
	"emailchannel.dev/emailchannel/shared/session"
)

// Settings are the channel's own, in settings/channel.
type Settings struct {
	Version      int64            `json:"version"`               // grows with every change of any setting
	Email        bool             `json:"email"`                 // CH-1
	Queues       bool             `json:"queues"`                // QU-1: the tile on the global queue page
	SubjectToken bool             `json:"subject_token"`         // CH-2
	SubjectKey   string           `json:"subject_key,omitempty"` // secret that signs the tokens; made when CH-2 is first switched on
	SubjectEdit  bool             `json:"subject_edit"`
	Company      string           `json:"company"`
	Session      session.Settings `json:"session"`
	Caps         reply.Caps       `json:"caps"`
	CRM          CRMSettings      `json:"crm"`
	Record       crm.Settings     `json:"record"`
	Presence     Presence         `json:"presence"`
	ConsoleURL   string           `json:"console_url"`      // to which links in the CRM lead
	Storage      Storage          `json:"storage,omitzero"` // ST-1; saved by [AdminStorage] alone
	UpdatedAt    time.Time        `json:"updated_at"`
}

// CRMSettings name the CRM and how to reach it.
type CRMSettings struct {
	Kind    string `json:"kind"` // "zendesk" or "none"
	BaseURL string `json:"base_url"`
	User    string `json:"user"`
	Secret  string `json:"secret"`        // of the API token
	Seconds int    `json:"flush_seconds"` // 1–60: how long operations are gathered
}

// Security of a connection to a mail server.
type Security string

// Server is a mail server of an account.
type Server struct {
	Host     string   `json:"host"`
	Port     int      `json:"port"`
	Security Security `json:"security"` // tls, starttls; none in the emulator only
}

// Account is a mailbox: IMAP in, SMTP out (AC-2). Its secret is elsewhere.
type Account struct {
	ID           string        `json:"id"`
	User         string        `json:"user"`
	Address      string        `json:"address"`
	Service      string        `json:"service"` // "imap", the only one
	Incoming     Server        `json:"incoming"`
	Outgoing     Server        `json:"outgoing"`
	Secret       string        `json:"secret"` // name in Secret Manager
	OutboundOnly bool          `json:"outbound_only"`
	Folders      []string      `json:"folders"`
	Auth         Auth          `json:"auth,omitempty"` // how it logs in; empty: by password
	OAuth        OAuth         `json:"oauth,omitzero"`
	Idle         bool          `json:"idle"` // wait in the first folder for mail between polls; openapi.yaml says what that costs
	Sent         SentMail      `json:"sent,omitzero"`
	AuthServers  []string      `json:"auth_servers,omitempty"` // whose Authentication-Results are believed, see email.ParseAuthenticationResults
	VERP         bool          `json:"verp"`                   // envelope senders that tell a bounce's mail
	DKIM         DKIM          `json:"dkim,omitzero"`
	Status       AccountStatus `json:"status"`
	CreatedAt    time.Time     `json:"created_at,omitzero"` // what its mailbox had before is not answered by a machine
	UpdatedAt    time.Time     `json:"updated_at"`
}

// Auth is how an account logs in to its servers.
type Auth string

const (
	AuthPassword Auth = "password"
	AuthXOAuth2  Auth = "xoauth2"     // Google, Microsoft
	AuthBearer   Auth = "oauthbearer" // RFC 7628
)

// OAuth is where an account's refresh token gets access tokens (RFC 6749 6).
type OAuth struct {
	TokenURL string `json:"token_url"`
	ClientID string `json:"client_id"`
	Scope    string `json:"scope,omitempty"`
}

// SentMail tells about an account's folder of sent mail.
type SentMail struct {
	Folder string `json:"folder,omitempty"` // empty: the one that the server marks \Sent (RFC 6154)
	Copy   bool   `json:"copy"`             // file a copy of what was sent; for servers that do not do so themselves
}

// DKIM signs an account's mail (RFC 6376); the key is among its [Credentials].
type DKIM struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
}

// AccountStatus is what the last log-in said (AC-1, AC-3).
type AccountStatus struct {
	Valid       bool      `json:"valid"`
	Error       string    `json:"error,omitempty"` // the server's answer
	CheckedAt   time.Time `json:"checked_at,omitzero"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	Failures    int       `json:"failures,omitempty"` // polls that failed in a row
	Retry       time.Time `json:"retry,omitzero"`     // before which it is not polled again
}

// Queue is an e-mail menu (QU-*).
type Queue struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Language  string       `json:"language"` // en, id, fr or de
	On        bool         `json:"on"`
	Parent    string       `json:"parent,omitempty"`
	Order     int          `json:"order"`
	Accounts  []string     `json:"accounts"`
	Agents    []string     `json:"agents"`
	Teams     []string     `json:"teams"`
	Assign    route.Policy `json:"assign"`
	Hours     hours.Hours  `json:"hours"`
	Response  AutoResponse `json:"response"`
	Forged    Forged       `json:"forged,omitempty"` // what happens to mail whose sender failed authentication; empty: accept
	Signature Signature    `json:"signature"`
	UpdatedAt time.Time    `json:"updated_at"`
}

// Forged is what a queue does with mail whose author is not who he claims to be,
// as far as SPF, DKIM and DMARC can tell.
type Forged string

const (
	ForgedAccept     Forged = "accept"     // it is shown with the message, and no more
	ForgedMark       Forged = "mark"       // no auto-response, and the message says why
	ForgedQuarantine Forged = "quarantine" // set aside until somebody looks at it
)

// AutoResponse is a queue's automatic answer (AR-1).
type AutoResponse struct {
	On      bool   `json:"on"`
	Account string `json:"account,omitempty"` // sender; empty: the session's own
	HTML    string `json:"html"`
	Inline  []File `json:"inline,omitempty"`
	Files   []File `json:"files,omitempty"`
}

// Signature goes below an agent's words where he wants it (SG-1).
type Signature struct {
	On     bool   `json:"on"`
	HTML   string `json:"html"`
	Inline []File `json:"inline,omitempty"` // pictures that it shows
}

// File is an image or file that goes out with mail; its content is in the archive.
type File struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	ContentID string `json:"content_id,omitempty"`
	Object    string `json:"object"`
	Size      int64  `json:"size"`
}

// Agent is a user of the channel. ID is the e-mail address, normalised.
type Agent struct {
	ID           string           `json:"id"`
	Name         string           `json:"name"`
	Alias        string           `json:"alias"` // the address that customers see, SG-1
	Role         string           `json:"role"`  // agent, supervisor or admin
	Teams        []string         `json:"teams"`
	Queues       []string         `json:"queues"` // all that the agent serves, directly or by team
	LoggedIn     bool             `json:"logged_in"`
	Status       Status           `json:"status"`
	SeenAt       time.Time        `json:"seen_at"` // last log-in, heartbeat or status
	Open         int              `json:"open"`    // unopened, reopened and active sessions
	LastAssigned time.Time        `json:"last_assigned"`
	Daily        map[string]Daily `json:"daily,omitempty"`   // by queue
	Leaving      bool             `json:"leaving,omitempty"` // may have sessions that he can no longer open
	UpdatedAt    time.Time        `json:"updated_at"`
	given        bool             // was assigned something in the transaction under way
}

// Daily counts automatic assignments of one queue on one of its days.
type Daily struct {
	Day string `json:"day"`
	N   int    `json:"n"`
}

// Team is a group of agents that queues name as one.
type Team struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	UpdatedAt time.Time `json:"updated_at"`
}
