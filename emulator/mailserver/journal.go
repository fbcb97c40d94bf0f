package mailserver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// record is one change of the mailboxes. The journal is the list of them since the last start; replaying it restores
// the state.
type record struct {
	Op       recordOp    `json:"op"`
	Box      string      `json:"box"`
	Folder   string      `json:"folder"`
	UID      imap.UID    `json:"uid,omitempty"`
	Date     time.Time   `json:"date,omitzero"`
	Size     int64       `json:"size,omitempty"`
	Body     string      `json:"body,omitempty"`
	Flags    []imap.Flag `json:"flags,omitempty"`
	Validity uint32      `json:"validity,omitempty"`
	Next     imap.UID    `json:"next,omitempty"`
	To       string      `json:"to,omitempty"`
	Yes      bool        `json:"yes,omitempty"`

	// source is the session that asked for the change and knows it already. It is not stored.
	source *imapserver.SessionTracker
}

type recordOp string

const (
	opFolder    recordOp = "folder"    // create with Validity and Next
	opAdd       recordOp = "add"       // a message
	opFlags     recordOp = "flags"     // replace a message's flags
	opExpunge   recordOp = "expunge"   // remove a message
	opDelete    recordOp = "delete"    // remove a folder
	opRename    recordOp = "rename"    // a folder, To a new name
	opRenumber  recordOp = "renumber"  // new Validity, UIDs from 1
	opSubscribe recordOp = "subscribe" // Yes or no
)

// journal is an append-only file of records, one JSON object a line.
type journal struct{ file *os.File }

// append writes the records with one system call, so that a killed process leaves all of them or none.
func (j *journal) append(recs []record) error {
	var buf bytes.Buffer
	if err := encode(&buf, recs); err != nil {
		return err
	}
	_, err := j.file.Write(buf.Bytes())
	return err
}

func encode(w io.Writer, recs []record) error {
	enc := json.NewEncoder(w)
	for _, r := range recs {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// replay calls apply for each record of the file. A last line without its end was never acknowledged and is ignored; any
// other unreadable line is an error.
func replay(path string, apply func(record)) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("mailserver: %s line %d: %w", path, n, err)
		}
		apply(r)
	}
}

// startJournal replaces the file by the shortest one that restores the same state and opens it for more.
func startJournal(path string, state []record) (*journal, error) {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriter(f)
	if err = encode(w, state); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &journal{f}, nil
}
