package email

import (
	"strings"
	"testing"
)

func TestUnflow(t *testing.T) {
	for name, c := range map[string]struct {
		in, want string
		delSp    bool
	}{
		"a paragraph":                     {"The lamp is \nbroken, and so \nam I.\n\nCleo\n", "The lamp is broken, and so am I.\n\nCleo\n", false},
		"spaces that are no text":         {"看到了这 \n封信。", "看到了这封信。", true},
		"spaces that are":                 {"one \ntwo", "one two", false},
		"stuffed lines":                   {" From here\n  indented\n >no quote", "From here\n indented\n>no quote", false},
		"the same depth of quote":         {"> The lamp \n> is broken.\n>> When \n>> did it?\nToday.", "> The lamp is broken.\n>> When did it?\nToday.", false},
		"another depth ends a paragraph":  {"> The lamp \nis broken. \n> Oh.", "> The lamp \nis broken. \n> Oh.", false},
		"quote marks with spaces between": {"> > The lamp \n> > is broken.\n> Oh.", "> > The lamp is broken.\n> Oh.", false},
		"an empty line of a quote":        {"> One.\n>\n> Two.", "> One.\n>\n> Two.", false},
		"a signature":                     {"Bye, \n-- \nCleo \nCustomer", "Bye, \n-- \nCleo Customer", false},
		"a signature in a quote":          {"> Bye\n> -- \n> Ana", "> Bye\n> -- \n> Ana", false},
		"nothing":                         {"", "", false},
		"the last line flows":             {"Hello ", "Hello ", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := unflow(c.in, c.delSp); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestFlowedMail(t *testing.T) {
	const body = "Thank you, that is all I \r\nwanted.\r\n\r\nOn 28.11.26 10:00, Ana wrote:\r\n> Your lamp \r\n> is on its way.\r\n"
	for contentType, want := range map[string]string{
		"text/plain; charset=utf-8; format=flowed":            "Thank you, that is all I wanted.\n\nOn 28.11.26 10:00, Ana wrote:\n> Your lamp is on its way.\n",
		"text/plain; charset=utf-8; Format=Flowed; DelSp=Yes": "Thank you, that is all Iwanted.\n\nOn 28.11.26 10:00, Ana wrote:\n> Your lampis on its way.\n",
		"text/plain; charset=utf-8; format=fixed":             strings.ReplaceAll(body, "\r\n", "\n"),
		"text/plain; charset=utf-8":                           strings.ReplaceAll(body, "\r\n", "\n"),
	} {
		m, err := Parse(strings.NewReader("From: cleo@customer.example\r\nContent-Type: "+contentType+"\r\n\r\n"+body), "", DefaultLimits(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if m.Text != want {
			t.Errorf("%s: %q", contentType, m.Text)
		}
		if fresh, quoted := SplitReply(m.Text); strings.Contains(fresh, "Ana wrote") || fresh+quoted != m.Text {
			t.Errorf("%s: the new text is %q", contentType, fresh)
		}
	}
}
