package channel

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Storage says where mail is kept and for how long (ST-1). Its zero value is
// the bucket that the deployment was given, for ever.
type Storage struct {
	Period      Period        `json:"period"`
	Destination Destination   `json:"destination"`
	Earlier     []Destination `json:"earlier,omitempty"` // those before, the last one first; objects there are still found
}

// Period is how long mail is kept, from its arrival.
type Period string

// The periods.
const (
	Unlimited Period = "unlimited" // as is the empty one
	Days30    Period = "30d"
	Days60    Period = "60d"
	Days90    Period = "90d"
	Days180   Period = "180d"
	Days365   Period = "365d"
	Years3    Period = "3y"
)

var periods = map[Period]struct{ years, days int }{
	Days30: {0, 30}, Days60: {0, 60}, Days90: {0, 90}, Days180: {0, 180}, Days365: {0, 365}, Years3: {3, 0},
}

// Cutoff is the time of arrival up to which mail is over its period at now;
// false when there is no such time.
func (p Period) Cutoff(now time.Time) (time.Time, bool) {
	d, ok := periods[p]
	return now.UTC().AddDate(-d.years, 0, -d.days), ok
}

// Kinds of a destination. The empty kind is the deployment's own bucket.
const (
	KindGCS = "gcs"
	KindS3  = "s3"
)

// Destination is a folder of a bucket in which objects are kept.
type Destination struct {
	Kind      string `json:"kind"` // gcs, s3, or empty with all the rest
	Bucket    string `json:"bucket"`
	Folder    string `json:"folder"`             // path in the bucket
	Endpoint  string `json:"endpoint,omitempty"` // s3: http or https address; empty: Amazon's
	Region    string `json:"region,omitempty"`   // s3
	PathStyle bool   `json:"path_style,omitempty"`
	Secret    string `json:"secret,omitempty"` // s3: name of the secret with access_key and secret_key as JSON
}

// Own tells whether d is the bucket that the deployment was given.
func (d Destination) Own() bool { return d.Kind == "" }

// same tells whether an object in d is also one in e: how both are reached may differ.
func (d Destination) same(e Destination) bool {
	at := func(d Destination) Destination {
		return Destination{Kind: d.Kind, Bucket: d.Bucket, Folder: strings.Trim(d.Folder, "/"), Endpoint: strings.TrimSuffix(d.Endpoint, "/")}
	}
	return at(d) == at(e)
}

// maxEarlier bounds how many destinations are asked for an object. None is
// forgotten by itself, because mail could lie there that has to be found.
const maxEarlier = 8

// Validate names every bad field ([*Invalid]).
func (s Storage) Validate() error {
	var bad Invalid
	s.check(&bad)
	return bad.err()
}

func (s Storage) check(bad *Invalid) {
	if _, ok := periods[s.Period]; !ok && s.Period != Unlimited && s.Period != "" {
		bad.add("period", "%q is none of 30d, 60d, 90d, 180d, 365d, 3y, unlimited", s.Period)
	}
	s.Destination.check(bad)
}

var (
	gcsBucket = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`) // https://cloud.google.com/storage/docs/buckets#naming
	s3Bucket  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)   // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
	s3Region  = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
)

func (d Destination) check(bad *Invalid) {
	const at = "destination."
	switch d.Kind {
	case "":
		if d != (Destination{}) {
			bad.add(at+"kind", "missing, and the other fields need it")
		}
		return
	case KindGCS:
		if !gcsBucket.MatchString(d.Bucket) {
			bad.add(at+"bucket", "%q is no name of a Cloud Storage bucket", d.Bucket)
		}
		for _, f := range []struct {
			name string
			set  bool
		}{{"endpoint", d.Endpoint != ""}, {"region", d.Region != ""}, {"path_style", d.PathStyle}, {"secret", d.Secret != ""}} {
			if f.set {
				bad.add(at+f.name, "is of S3 only")
			}
		}
	case KindS3:
		d.checkS3(bad, at)
	default:
		bad.add(at+"kind", "%q is neither gcs nor s3", d.Kind)
	}
	if !isFolder(d.Folder) {
		bad.add(at+"folder", "%q is no path of a folder", d.Folder)
	}
}

// isFolder tells whether s is a path that every store and tool reads alike.
func isFolder(s string) bool {
	if len(s) > 500 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return false
	}
	if s = strings.Trim(s, "/"); s == "" {
		return true
	}
	return !slices.ContainsFunc(strings.Split(s, "/"), func(e string) bool { return e == "" || e == "." || e == ".." })
}

func (d Destination) checkS3(bad *Invalid, at string) {
	if !s3Bucket.MatchString(d.Bucket) || strings.Contains(d.Bucket, "..") {
		bad.add(at+"bucket", "%q is no name of an S3 bucket", d.Bucket)
	}
	if d.Endpoint != "" && (!isURL(d.Endpoint) || strings.ContainsAny(d.Endpoint, "?#@") || strings.Count(strings.Trim(d.Endpoint, "/"), "/") > 2) {
		bad.add(at+"endpoint", "%q is no http or https address of a server, without a path", d.Endpoint)
	}
	switch {
	case d.Region == "" && d.Endpoint == "":
		bad.add(at+"region", "missing")
	case d.Region != "" && !s3Region.MatchString(d.Region):
		bad.add(at+"region", "%q is no region", d.Region)
	}
	switch {
	case !secretName.MatchString(d.Secret):
		bad.add(at+"secret", "%q is no name of a secret", d.Secret)
	case strings.HasPrefix(d.Secret, accountSecrets):
		bad.add(at+"secret", "%s is for the passwords of accounts", accountSecrets)
	}
}

// storageSecrets begins the names of credentials that [AdminStorage] keeps.
const storageSecrets = "storage-"

// named fills in the secret's name: the same bucket has the same one.
func (s Storage) named() Storage {
	if d := s.Destination; d.Kind == KindS3 && d.Secret == "" {
		s.Destination.Secret = storageSecrets + digest(d.Endpoint, d.Region, d.Bucket)
	}
	return s
}

// after is s as it is saved where have was: another destination joins the
// earlier ones, and one that is used again leaves them.
func (s Storage) after(have Storage) (Storage, error) {
	s.Earlier = nil
	for _, d := range append([]Destination{have.Destination}, have.Earlier...) {
		if !d.same(s.Destination) {
			s.Earlier = append(s.Earlier, d)
		}
	}
	if len(s.Earlier) > maxEarlier {
		return s, &Invalid{[]Field{{"destination", fmt.Sprintf("mail may lie in %d earlier destinations, and more are not searched: move it and go back to one of them", maxEarlier)}}}
	}
	return s, nil
}
