package zendesk

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// User is an end user or an agent. Zero values are not sent.
type User struct {
	ID         int64          `json:"id,omitempty"` // read only
	Name       string         `json:"name,omitempty"`
	Email      string         `json:"email,omitempty"`
	Phone      string         `json:"phone,omitempty"`
	ExternalID string         `json:"external_id,omitempty"`
	Role       string         `json:"role,omitempty"` // end-user (the default), agent, admin
	Notes      string         `json:"notes,omitempty"`
	Tags       []string       `json:"tags,omitempty"`
	UserFields map[string]any `json:"user_fields,omitempty"`
	Verified   bool           `json:"verified,omitempty"`
	SkipVerify bool           `json:"skip_verify_email,omitempty"` // write only: Zendesk sends no mail to a new user
}

type userBody struct {
	User User `json:"user"`
}

// CreateOrUpdateUser updates the user with this external ID or e-mail address, or makes one; it may be repeated.
// *APIError 422 when the two belong to different users, or the name is missing.
func (c *Client) CreateOrUpdateUser(ctx context.Context, u User) (User, error) {
	u.ID = 0
	var out userBody
	err := c.do(ctx, request{name: "CreateOrUpdateUser", method: http.MethodPost, path: "/users/create_or_update", in: userBody{u}, out: &out})
	return out.User, err
}

// SearchUser finds the user with this e-mail address; nil when there is none. The search index lags
// by up to some minutes; CreateOrUpdateUser does not.
func (c *Client) SearchUser(ctx context.Context, email string) (*User, error) {
	users, err := c.searchUsers(ctx, "SearchUser", "email:"+quote(email))
	for _, u := range users {
		if strings.EqualFold(u.Email, email) {
			return &u, err
		}
	}
	return nil, err
}

// SearchUsersByPhone finds the users with this number, at most 100, in Zendesk's order.
func (c *Client) SearchUsersByPhone(ctx context.Context, number string) ([]User, error) {
	return c.searchUsers(ctx, "SearchUsersByPhone", "phone:"+quote(number))
}

func (c *Client) searchUsers(ctx context.Context, name, query string) ([]User, error) {
	var out struct {
		Users []User `json:"users"`
	}
	q := url.Values{"query": {query}}
	err := c.do(ctx, request{name: name, method: http.MethodGet, path: "/users/search", query: q, out: &out})
	return out.Users, err
}

// quote keeps a value one term of the search, whatever it holds.
func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, "") + `"` }

// User reads a user. *APIError 404 when there is none.
func (c *Client) User(ctx context.Context, id int64) (User, error) {
	var out userBody
	err := c.do(ctx, request{name: "User", method: http.MethodGet, path: fmt.Sprintf("/users/%d", id), out: &out})
	return out.User, err
}

// Verify checks the credentials and returns whose they are. ErrBadCredentials when the account refuses them, takes
// them for nobody's (Zendesk answers 200 with an anonymous user then) or for an end user's; any other error says
// nothing about them.
func (c *Client) Verify(ctx context.Context) (User, error) {
	var out userBody
	err := c.do(ctx, request{name: "Verify", method: http.MethodGet, path: "/users/me", out: &out})
	if err != nil {
		return User{}, err
	}
	if out.User.ID == 0 || out.User.Role == "end-user" {
		return User{}, fmt.Errorf("zendesk Verify: %w", ErrBadCredentials)
	}
	return out.User, nil
}
