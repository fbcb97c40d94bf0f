package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// refuse checks the request's signature and returns S3's code and words for
// what is wrong with it, nothing when it is right:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func (s *Server) refuse(r *http.Request) (code, text string) {
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return "AccessDenied", "Anonymous access is not allowed."
	}
	auth := map[string]string{}
	for _, field := range strings.Split(fields, ",") {
		name, v, _ := strings.Cut(strings.TrimSpace(field), "=")
		auth[name] = v
	}
	key, scope, _ := strings.Cut(auth["Credential"], "/")
	if key != s.o.AccessKey {
		return "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
	}
	if want := s.signature(r, scope, auth["SignedHeaders"]); subtle.ConstantTimeCompare([]byte(want), []byte(auth["Signature"])) != 1 {
		return "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	}
	return "", ""
}

func (s *Server) signature(r *http.Request, scope, signed string) string {
	request := sha256.Sum256([]byte(canonical(r, signed)))
	toSign := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + scope + "\n" + hex.EncodeToString(request[:])
	key := []byte("AWS4" + s.o.SecretKey)
	for _, word := range strings.Split(scope, "/") { // date, region, service, aws4_request
		key = mac(key, word)
	}
	return hex.EncodeToString(mac(key, toSign))
}

func mac(key []byte, word string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(word))
	return h.Sum(nil)
}

// canonical is the canonical request.
func canonical(r *http.Request, signed string) string {
	var query []string
	for name, values := range r.URL.Query() {
		for _, v := range values {
			query = append(query, escape(name, false)+"="+escape(v, false))
		}
	}
	slices.Sort(query)
	var b strings.Builder
	b.WriteString(r.Method + "\n" + escape(r.URL.Path, true) + "\n" + strings.Join(query, "&") + "\n")
	for _, name := range strings.Split(signed, ";") {
		v := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			v = r.Host
		case "content-length":
			v = r.Header.Get("Content-Length")
		}
		b.WriteString(name + ":" + strings.Join(strings.Fields(v), " ") + "\n")
	}
	b.WriteString("\n" + signed + "\n" + r.Header.Get("X-Amz-Content-Sha256"))
	return b.String()
}

// escape is URI encoding as the signature wants it: everything but unreserved characters.
func escape(s string, slash bool) string {
	out := strings.NewReplacer("+", "%20", "%7E", "~").Replace(url.QueryEscape(s))
	if slash {
		out = strings.ReplaceAll(out, "%2F", "/")
	}
	return out
}

func writeError(w http.ResponseWriter, status int, code, text string) {
	body, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: code, Message: text})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	w.Write(body) // a client that is gone is no matter of ours
}
