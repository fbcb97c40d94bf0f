package zendesk

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

type userInput struct {
	Name       string          `json:"name"`
	Email      string          `json:"email"`
	Phone      opt[string]     `json:"phone"`
	ExternalID opt[string]     `json:"external_id"`
	Role       string          `json:"role"`
	Notes      string          `json:"notes"`
	Details    string          `json:"details"`
	Verified   *bool           `json:"verified"`
	Tags       []string        `json:"tags"`
	UserFields json.RawMessage `json:"user_fields"`
}

type userView struct {
	*user
	URL string `json:"url"`
}

func (c *call) userView(u *user) userView {
	return userView{u, fmt.Sprintf("%s%s/users/%d.json", c.base, apiRoot, u.ID)}
}

// showMe answers an anonymous user to a caller without credentials, as Zendesk does: a client that only looks at
// the status takes that for a login.
func showMe(_ *Server, c *call) (answer, error) {
	if c.user == nil {
		return ok(map[string]any{"user": map[string]any{
			"id": nil, "name": "Anonymous user", "email": "invalid@example.com", "role": roleEndUser,
		}})
	}
	return ok(map[string]any{"user": c.userView(c.user)})
}

func showUser(s *Server, c *call) (answer, error) {
	id, err := c.id("user_id")
	if err != nil {
		return answer{}, err
	}
	u := s.state.users[id]
	if u == nil {
		return answer{}, notFound()
	}
	return ok(map[string]any{"user": c.userView(u)})
}

// createOrUpdateUser finds the user by external ID or e-mail address, in any case, and updates it; else makes one.
func createOrUpdateUser(s *Server, c *call) (answer, error) {
	var in struct {
		User userInput `json:"user"`
	}
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	old, err := s.findUser(&in.User)
	if err != nil {
		return answer{}, err
	}
	status := http.StatusCreated
	u := &user{Role: roleEndUser, Active: true, CreatedAt: c.now}
	if old != nil {
		status = http.StatusOK
		copied := *old
		u = &copied
	}
	if err := s.applyUser(u, &in.User); err != nil {
		return answer{}, err
	}
	if old == nil {
		u.ID = s.state.nextUser()
	}
	u.UpdatedAt = c.now
	b := new(batch)
	b.user(u)
	if err := s.commit(b); err != nil {
		return answer{}, err
	}
	v := c.userView(u)
	return answer{status: status, body: map[string]any{"user": v}, header: map[string]string{"Location": v.URL}}, nil
}

func (s *Server) findUser(in *userInput) (*user, error) {
	byEmail := s.state.userByEmail(in.Email)
	if in.Email == "" {
		byEmail = nil
	}
	if !in.ExternalID.Set || in.ExternalID.Value == "" {
		return byEmail, nil
	}
	byID := s.state.users[s.state.byUserExt[strings.ToLower(in.ExternalID.Value)]]
	if byID != nil && byEmail != nil && byID != byEmail {
		return nil, invalid("email", "Email: "+in.Email+" is already being used by another user", "DuplicateValue")
	}
	return cmp.Or(byID, byEmail), nil
}

func (s *Server) applyUser(u *user, in *userInput) error {
	u.Name, u.Email = cmp.Or(in.Name, u.Name), cmp.Or(in.Email, u.Email)
	if u.Name == "" {
		return invalid("name", "Name: is too short (minimum one character)", "BlankValue")
	}
	if in.Role != "" && !slices.Contains([]string{roleEndUser, roleAgent, roleAdmin}, in.Role) {
		return invalid("role", "Role: "+in.Role+" is not valid", "InvalidValue")
	}
	u.Role = cmp.Or(in.Role, u.Role)
	in.Phone.apply(&u.Phone)
	in.ExternalID.apply(&u.ExternalID)
	u.Notes, u.Details = cmp.Or(in.Notes, u.Notes), cmp.Or(in.Details, u.Details)
	if in.Verified != nil {
		u.Verified = *in.Verified
	}
	if in.Tags != nil {
		u.Tags = cleanTags(in.Tags)
	}
	if in.UserFields != nil {
		u.UserFields = in.UserFields
	}
	return nil
}
