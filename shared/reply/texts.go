package reply

import (
	"fmt"
	"strings"

	"emailchannel.dev/emailchannel/shared/hours"
)

// language is what a language needs for the tags: its words where there is no value, and its dates.
type language struct {
	consumer, agent, queue, company, nextWorking, ticketID string

	day    string // "%d" and what follows the number
	first  string // the first of a month, where it is written otherwise
	clock  string // layout of package time
	months [12]string
}

var english = language{
	consumer: "customer", agent: "our team", queue: "customer service", company: "our company",
	nextWorking: "the next working day", ticketID: "not yet assigned",
	day: "%d", clock: "15:04",
	months: [12]string{"January", "February", "March", "April", "May", "June",
		"July", "August", "September", "October", "November", "December"},
}

var indonesian = language{
	consumer: "pelanggan", agent: "tim kami", queue: "layanan pelanggan", company: "perusahaan kami",
	nextWorking: "hari kerja berikutnya", ticketID: "belum tersedia",
	day: "%d", clock: "15.04",
	months: [12]string{"Januari", "Februari", "Maret", "April", "Mei", "Juni",
		"Juli", "Agustus", "September", "Oktober", "November", "Desember"},
}

var french = language{
	consumer: "client", agent: "notre équipe", queue: "service client", company: "notre entreprise",
	nextWorking: "prochain jour ouvré", ticketID: "pas encore attribué",
	day: "%d", first: "1er", clock: "15:04",
	months: [12]string{"janvier", "février", "mars", "avril", "mai", "juin",
		"juillet", "août", "septembre", "octobre", "novembre", "décembre"},
}

var german = language{
	consumer: "Kundin/Kunde", agent: "unser Team", queue: "Kundendienst", company: "unser Unternehmen",
	nextWorking: "nächster Werktag", ticketID: "noch nicht vergeben",
	day: "%d.", clock: "15:04",
	months: [12]string{"Januar", "Februar", "März", "April", "Mai", "Juni",
		"Juli", "August", "September", "Oktober", "November", "Dezember"},
}

// languageOf goes by the first part of a language tag (BCP 47); "in" is what Indonesian was called before.
func languageOf(code string) language {
	base, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(code), "_", "-"), "-")
	switch base {
	case "id", "in":
		return indonesian
	case "fr":
		return french
	case "de":
		return german
	}
	return english
}

// date writes the day, the month's name and the year.
func (l language) date(d hours.Date) string {
	day := fmt.Sprintf(l.day, d.Day)
	if d.Day == 1 && l.first != "" {
		day = l.first
	}
	return fmt.Sprintf("%s %s %d", day, l.months[d.Month-1], d.Year)
}
