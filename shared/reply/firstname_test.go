package reply

import "testing"

func TestFirstName(t *testing.T) {
	tests := []struct{ display, addr, want string }{
		{"Jane Doe", "x@h", "Jane"},
		{`"Jane Doe"`, "x@h", "Jane"},
		{"  jane  doe ", "x@h", "Jane"},
		{"JEAN-LUC PICARD", "x@h", "Jean-Luc"},
		{"Jean-luc Picard", "x@h", "Jean-luc"},
		{"McKenzie Smith", "x@h", "McKenzie"},
		{"o'brien", "x@h", "O'Brien"},
		{"Doe, Jane", "x@h", "Jane"},
		{"Doe, Jane (Sales)", "x@h", "Jane"},
		{"Jane Doe, PhD", "x@h", "Jane"},
		{"Dr. Jane Doe", "x@h", "Jane"},
		{"Herr Prof. Dr. Jörg Müller", "x@h", "Jörg"},
		{"Bapak Budi Santoso", "x@h", "Budi"},
		{"Jane via Marketplace", "x@h", "Jane"},
		{"J. Robert Smith", "x@h", "Robert"},
		{"J. Smith", "x@h", ""},
		{"J.R. Smith", "x@h", "J.R."},
		{"山田 太郎", "x@h", "山田 太郎"},
		{"김민준", "x@h", "김민준"},
		{"Ольга Иванова", "x@h", "Ольга"},
		{"علی رضا", "x@h", "علی"},
		{"नेहा शर्मा", "x@h", "नेहा"},
		{"Sukarno", "x@h", "Sukarno"},
		{"jane@shop.example", "jane.doe@h", "Jane"},
		{"", "jane.doe@h", "Jane"},
		{"", "JANE_DOE+shop@h", "Jane"},
		{"", "jane@h", ""},
		{"", "jane.doe2@h", ""},
		{"", "j.doe@h", ""},
		{"", "no-reply@h", ""},
		{"", "customer.service@h", ""},
		{"", "", ""},
		{"Ibu", "x@h", ""},
		{"...", "x@h", ""},
		{"Jane2", "x@h", ""},
		{"<script>", "x@h", ""},
		{"@{ticket_id}", "x@h", ""},
		{"evil.example wins", "x@h", ""},
		{"http://evil.example", "x@h", ""},
		{"💰 free", "x@h", ""},
		{"Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x@h", ""},
	}
	for _, tt := range tests {
		if got := FirstName(tt.display, tt.addr); got != tt.want {
			t.Errorf("FirstName(%q, %q) = %q, want %q", tt.display, tt.addr, got, tt.want)
		}
	}
}
