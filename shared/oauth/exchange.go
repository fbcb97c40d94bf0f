package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/fault"
)

const (
	maxAnswer   = 64 << 10 // bytes of an endpoint's answer; tokens are of a few thousand at most
	maxText     = 500      // characters of a description that become part of an error
	maxLifetime = 24 * time.Hour
	unknownLife = 5 * time.Minute // of a token for which the endpoint says nothing
)

// Error is the answer of an endpoint that gave no token.
type Error struct {
	Status      int    // of HTTP
	Code        string // such as invalid_grant (RFC 6749 §5.2), "" where the answer was not in that form
	Description string // the provider's own words, shortened
}

func (e *Error) Error() string {
	text := fmt.Sprintf("token endpoint: %d", e.Status)
	for _, s := range []string{e.Code, e.Description} {
		if s != "" {
			text += " " + s
		}
	}
	return text
}

// permanent is true when only a person can help: consent has ended or the credentials are wrong. An answer without a code is that
// of something between us and the endpoint.
func (e *Error) permanent() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	switch e.Code {
	case "", "temporarily_unavailable", "server_error", "slow_down":
		return false
	}
	return e.Status/100 == 4
}

// grant is a successful answer (RFC 6749 §5.1).
type grant struct {
	AccessToken  string      `json:"access_token"`
	TokenType    string      `json:"token_type"`
	ExpiresIn    json.Number `json:"expires_in"` // seconds; some write it as a string
	RefreshToken string      `json:"refresh_token"`
}

// lifetime is how long the token may be used.
func (g grant) lifetime() time.Duration {
	life := unknownLife
	if n, err := strconv.ParseFloat(string(g.ExpiresIn), 64); err == nil && n > 0 {
		life = time.Duration(min(n, maxLifetime.Seconds())) * time.Second
	}
	return life - min(spare, life/4)
}

// exchange asks for an access token (RFC 6749 §6). Client and secret go into the body, as all large providers want it.
func (s *Source) exchange(ctx context.Context, c Credentials) (grant, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {c.RefreshToken}, "client_id": {c.ClientID}}
	if c.ClientSecret != "" {
		form.Set("client_secret", c.ClientSecret)
	}
	if c.Scope != "" {
		form.Set("scope", c.Scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return grant{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return grant{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return grant{}, fmt.Errorf("token endpoint: %w", err)
	}
	if len(body) > maxAnswer {
		return grant{}, fmt.Errorf("token endpoint: answer of more than %d bytes", maxAnswer)
	}
	if resp.StatusCode != http.StatusOK {
		return grant{}, refused(c, resp.StatusCode, body)
	}
	return granted(body)
}

func granted(body []byte) (grant, error) {
	var g grant
	if err := json.Unmarshal(body, &g); err != nil { // its text could have a piece of a token
		return grant{}, errors.New("token endpoint: answer is not JSON as of RFC 6749")
	}
	if g.AccessToken == "" || g.TokenType != "" && !strings.EqualFold(g.TokenType, "Bearer") {
		return grant{}, errors.New("token endpoint: answer has no bearer token")
	}
	return g, nil
}

func refused(c Credentials, status int, body []byte) error {
	var answer struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	e := &Error{Status: status}
	if json.Unmarshal(body, &answer) == nil {
		e.Code, e.Description = shorten(c.hide(answer.Code)), shorten(c.hide(answer.Description))
	}
	if e.permanent() {
		return fault.Permanent(e)
	}
	return e
}

// shorten makes a line of reasonable length.
func shorten(text string) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	return string(runes[:min(len(runes), maxText)])
}
