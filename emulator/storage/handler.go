package storage

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// target is what a request names: a bucket, an object in it, or neither.
type target struct {
	bucket, object string
	objects        bool // the bucket's objects, or with a name one of them
	upload, media  bool
	unknown        bool
}

// parseTarget reads the escaped path, because an object's name may hold any
// slash, also doubled ones, that a path router would clean away.
func parseTarget(u *url.URL) (t target, err error) {
	rest := u.EscapedPath()
	rest, t.upload = strings.CutPrefix(rest, "/upload")
	rest, t.media = strings.CutPrefix(rest, "/download")
	rest, api := strings.CutPrefix(rest, "/storage/v1/b")
	if !api {
		return parseXMLTarget(rest)
	}
	t.media = t.media || u.Query().Get("alt") == "media"
	segments := strings.Split(strings.Trim(rest, "/"), "/") // bucket, "o", object
	if t.bucket, err = url.PathUnescape(segments[0]); err != nil {
		return t, badRequest("bucket name: %v", err)
	}
	t.objects = len(segments) > 1
	t.unknown = len(segments) > 3 || t.objects && segments[1] != "o"
	if len(segments) > 2 {
		if t.object, err = url.PathUnescape(segments[2]); err != nil {
			return t, badRequest("object name: %v", err)
		}
	}
	return t, nil
}

// parseXMLTarget reads /bucket/object, the form of the XML API, in which the
// official client downloads unless it was told WithJSONReads.
func parseXMLTarget(path string) (target, error) {
	path, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil {
		return target{}, badRequest("path: %v", err)
	}
	bucket, object, found := strings.Cut(path, "/")
	return target{bucket: bucket, object: object, objects: true, media: true, unknown: !found || object == ""}, nil
}

// Handler serves the API. It may be called any number of times and wrapped, for
// example by fault injection.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, err := parseTarget(r.URL)
		if err == nil {
			err = s.dispatch(w, r, t)
		}
		if err != nil {
			writeError(w, err)
		}
	})
}

func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, t target) error {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case t.unknown:
	case t.upload && t.objects && t.object == "":
		return s.upload(w, r, t.bucket)
	case t.upload:
	case !t.objects && t.bucket == "":
		return s.serveBuckets(w, r)
	case !t.objects && read:
		return s.getBucket(w, t.bucket)
	case t.objects && t.object == "" && read:
		return s.list(w, r, t.bucket)
	case t.object != "" && read && t.media:
		return s.download(w, r, t)
	case t.object != "" && read:
		return s.get(w, r, t)
	case t.object != "" && r.Method == http.MethodDelete && !t.media:
		return s.delete(w, r, t)
	}
	return errorf(http.StatusNotImplemented, "notImplemented", "the local Cloud Storage does not serve %s %s", r.Method, r.URL.Path)
}

func baseURL(r *http.Request) string { return "http://" + r.Host }

// conditions are the preconditions of
// https://cloud.google.com/storage/docs/request-preconditions; nil is none.
// Objects here have metageneration 1, because none is ever patched.
type conditions struct {
	genMatch, genNotMatch, metaMatch, metaNotMatch *int64
}

func parseConditions(q url.Values) (c conditions, err error) {
	for name, field := range map[string]**int64{
		"ifGenerationMatch": &c.genMatch, "ifGenerationNotMatch": &c.genNotMatch,
		"ifMetagenerationMatch": &c.metaMatch, "ifMetagenerationNotMatch": &c.metaNotMatch,
	} {
		if !q.Has(name) {
			continue
		}
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil {
			return c, badRequest("%s: %q is no number", name, q.Get(name))
		}
		*field = &n
	}
	return c, nil
}

// check compares with the object that exists, nil for none. A read whose
// "not match" fails is answered 304, everything else 412.
func (c conditions) check(o *object, read bool) error {
	var gen, meta int64
	if o != nil {
		gen, meta = o.Generation, 1
	}
	if (c.genMatch != nil && *c.genMatch != gen) || (c.metaMatch != nil && *c.metaMatch != meta) {
		return errorf(http.StatusPreconditionFailed, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
	}
	if (c.genNotMatch != nil && *c.genNotMatch == gen) || (c.metaNotMatch != nil && *c.metaNotMatch == meta) {
		status := http.StatusPreconditionFailed
		if read {
			status = http.StatusNotModified
		}
		return errorf(status, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
	}
	return nil
}
