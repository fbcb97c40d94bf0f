package zendesk

import (
	"net/http"
	"strings"
)

const apiRoot = "/api/v2"

// operation is one served call of the API.
type operation struct {
	id     string // OpenAPI operationId; Zendesk's name of the page where the file lacks the operation
	method string
	path   string // as the OpenAPI file writes it
	handle func(*Server, *call) (answer, error)
	stream bool // the handler reads the body itself
}

func operations() []operation {
	return []operation{
		{id: "ListTickets", method: "GET", path: "/tickets", handle: listTickets},
		{id: "CreateTicket", method: "POST", path: "/tickets", handle: createTicket},
		{id: "ShowTicket", method: "GET", path: "/tickets/{ticket_id}", handle: showTicket},
		{id: "UpdateTicket", method: "PUT", path: "/tickets/{ticket_id}", handle: updateTicket},
		{id: "TicketsShowMany", method: "GET", path: "/tickets/show_many", handle: showMany},
		{id: "TicketsUpdateMany", method: "PUT", path: "/tickets/update_many", handle: updateMany},
		{id: "MergeTicketsIntoTargetTicket", method: "POST", path: "/tickets/{ticket_id}/merge", handle: mergeTickets},
		{id: "ListTicketComments", method: "GET", path: "/tickets/{ticket_id}/comments", handle: listComments},
		{id: "ListResourceTags", method: "GET", path: "/tickets/{ticket_id}/tags", handle: listTags},
		{id: "SetTagsTicket", method: "POST", path: "/tickets/{ticket_id}/tags", handle: setTags},
		{id: "PutTagsTicket", method: "PUT", path: "/tickets/{ticket_id}/tags", handle: addTags},
		{id: "DeleteTagsTicket", method: "DELETE", path: "/tickets/{ticket_id}/tags", handle: removeTags},
		{id: "ShowJobStatus", method: "GET", path: "/job_statuses/{job_status_id}", handle: showJob},
		{id: "ListSearchResults", method: "GET", path: "/search", handle: searchAll},
		{id: "SearchUsers", method: "GET", path: "/users/search", handle: searchUsers},
		{id: "CreateOrUpdateUser", method: "POST", path: "/users/create_or_update", handle: createOrUpdateUser},
		{id: "ShowCurrentUser", method: "GET", path: "/users/me", handle: showMe},
		{id: "ShowUser", method: "GET", path: "/users/{user_id}", handle: showUser},
		{id: "ListRequestedTickets", method: "GET", path: "/users/{user_id}/tickets/requested", handle: requestedTickets},
		{id: "UploadFiles", method: "POST", path: "/uploads", handle: uploadFile, stream: true},
		{id: "ListTicketFields", method: "GET", path: "/ticket_fields", handle: listFields},
		{id: "CreateTicketField", method: "POST", path: "/ticket_fields", handle: createField},
	}
}

func servedPaths() []string {
	var paths []string
	for _, op := range operations() {
		paths = append(paths, apiRoot+op.path)
	}
	return paths
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, op := range operations() {
		mux.HandleFunc(op.method+" "+apiRoot+op.path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, op) })
	}
	mux.HandleFunc(apiRoot+"/", func(w http.ResponseWriter, _ *http.Request) {
		writeFailure(w, &failure{status: http.StatusNotFound, code: "InvalidEndpoint", description: "Not found"})
	})
	mux.HandleFunc("GET /attachments/{id}/{name}", s.serveAttachment)
	mux.HandleFunc("GET /agent/tickets/{id}", s.ticketPage)
	mux.HandleFunc("GET /{$}", s.indexPage)
	return mux
}

// trimJSONSuffix makes /tickets/1.json and /tickets/1 the same call, as Zendesk does.
func trimJSONSuffix(path string) string {
	if strings.HasPrefix(path, apiRoot+"/") {
		return strings.TrimSuffix(path, ".json")
	}
	return path
}
