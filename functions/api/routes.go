package api

import (
	"net/http"

	"emailchannel.dev/emailchannel/shared/auth"
)

// Who may: agents only see and change what their queues have, which the use
// cases check (QU-4); programs look and set states in bulk.
var (
	agents      = []auth.Role{auth.RoleAgent, auth.RoleSupervisor, auth.RoleAdmin}
	everybody   = []auth.Role{auth.RoleAgent, auth.RoleSupervisor, auth.RoleAdmin, auth.RoleService}
	supervisors = []auth.Role{auth.RoleSupervisor, auth.RoleAdmin}
	admins      = []auth.Role{auth.RoleAdmin}
	erasers     = []auth.Role{auth.RoleAdmin, auth.RoleService}
)

// routes is everything that the API has. openapi.yaml describes it, and a test
// holds the two together.
func (s *server) routes() []route {
	const get, put, post, del = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete
	const ok, created, accepted, none = http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent
	return []route{
		{get, "/v1/openapi.yaml", nil, ok, s.openapi},

		{get, "/v1/settings", supervisors, ok, s.getSettings},
		{put, "/v1/settings", admins, ok, s.putSettings},
		{get, "/v1/settings:export", supervisors, ok, s.exportSettings},
		{put, "/v1/settings:import", admins, ok, s.importSettings},
		{get, "/v1/storage", supervisors, ok, s.getStorage},
		{put, "/v1/storage", admins, ok, s.putStorage},
		{post, "/v1/storage/test", admins, ok, s.testStorage},

		{get, "/v1/audit", supervisors, ok, s.listAudit},

		{get, "/v1/accounts", supervisors, ok, s.listAccounts},
		{get, "/v1/accounts/{id}", supervisors, ok, s.getAccount},
		{put, "/v1/accounts/{id}", admins, ok, s.putAccount},
		{del, "/v1/accounts/{id}", admins, none, s.deleteAccount},
		{post, "/v1/accounts/{id}/verify", admins, ok, s.verifyAccount},
		{get, "/v1/accounts/{id}/reconciliations", supervisors, ok, s.listReconciliations},
		{post, "/v1/accounts/{id}/reconcile", admins, none, s.reconcile},

		{get, "/v1/queues", everybody, ok, s.listQueues},
		{get, "/v1/queues/{id}", everybody, ok, s.getQueue},
		{put, "/v1/queues/{id}", admins, ok, s.putQueue},
		{del, "/v1/queues/{id}", admins, none, s.deleteQueue},
		{get, "/v1/queues/{id}/holidays", everybody, ok, s.listHolidays},
		{del, "/v1/queues/{id}/holidays", admins, none, s.deleteHolidays},
		{post, "/v1/queues/{id}/holidays:import", admins, ok, s.importHolidays},

		{get, "/v1/agents", everybody, ok, s.listAgents},
		{get, "/v1/agents/{id}", everybody, ok, s.getAgent},
		{put, "/v1/agents/{id}", admins, ok, s.putAgent},
		{del, "/v1/agents/{id}", admins, none, s.deleteAgent},
		{post, "/v1/agents/{id}/login", agents, ok, s.login},
		{post, "/v1/agents/{id}/logout", agents, ok, s.logout},
		{post, "/v1/agents/{id}/heartbeat", agents, ok, s.heartbeat},
		{put, "/v1/agents/{id}/status", agents, ok, s.setStatus},

		{get, "/v1/teams", everybody, ok, s.listTeams},
		{get, "/v1/teams/{id}", everybody, ok, s.getTeam},
		{put, "/v1/teams/{id}", admins, ok, s.putTeam},
		{del, "/v1/teams/{id}", admins, none, s.deleteTeam},

		{get, "/v1/sessions", everybody, ok, s.listSessions},
		{post, "/v1/sessions", agents, created, s.startSession},
		{get, "/v1/sessions/{id}", everybody, ok, s.getSession},
		{get, "/v1/sessions/{id}/messages", everybody, ok, s.listMessages},
		{get, "/v1/sessions/{id}/messages/{message}/raw", agents, ok, s.rawMessage},
		{get, "/v1/sessions/{id}/messages/{message}/attachments/{number}", agents, ok, s.attachment},
		{get, "/v1/sessions/{id}/history", everybody, ok, s.listHistory},
		{get, "/v1/sessions/{id}/viewers", agents, ok, s.listViewers},
		{put, "/v1/sessions/{id}/viewers/me", agents, ok, s.view},
		{del, "/v1/sessions/{id}/viewers/me", agents, none, s.leave},
		{get, "/v1/sessions/{id}/decisions", everybody, ok, s.listDecisions},
		{post, "/v1/sessions/{id}/open", agents, ok, s.openSession},
		{post, "/v1/sessions/{id}/reply", agents, accepted, s.reply},
		{post, "/v1/sessions/{id}/note", agents, created, s.note},
		{post, "/v1/sessions/{id}/transfer", agents, ok, s.transfer},
		{post, "/v1/sessions/{id}/assign", agents, ok, s.assign},
		{post, "/v1/sessions/{id}/unassign", agents, ok, s.unassign},
		{post, "/v1/sessions/{id}/pause", agents, ok, s.pause},
		{post, "/v1/sessions/{id}/resolve", agents, ok, s.resolve},
		{post, "/v1/sessions/{id}/activate", agents, ok, s.activate},
		{post, "/v1/sessions/{id}/hold", supervisors, ok, s.hold},
		{del, "/v1/sessions/{id}/hold", supervisors, ok, s.release},
		{post, "/v1/bulk/session-states", everybody, ok, s.bulkStates},

		{get, "/v1/reports/states", supervisors, ok, s.reportStates},
		{get, "/v1/reports/activity", supervisors, ok, s.reportActivity},

		{post, "/v1/erasures", erasers, ok, s.erase},
		{get, "/v1/erasures/{id}", erasers, ok, s.getErasure},

		{post, "/v1/files", agents, created, s.upload},

		{get, "/v1/outbound", supervisors, ok, s.listOutbound},
		{post, "/v1/outbound/{id}/resolve", agents, ok, s.settle},

		{get, "/v1/quarantine", supervisors, ok, s.listQuarantine},
		{post, "/v1/quarantine/{id}/retry", admins, none, s.retryQuarantined},
		{post, "/v1/mails/replay", admins, ok, s.replayMail},
		{get, "/v1/dead-letters", supervisors, ok, s.listDeadLetters},
		{post, "/v1/dead-letters/{id}/replay", admins, none, s.replayDeadLetter},
		{del, "/v1/dead-letters/{id}", admins, none, s.deleteDeadLetter},
		{get, "/v1/crm/operations", supervisors, ok, s.listOperations},
		{post, "/v1/crm/operations/{id}/replay", admins, ok, s.replayOperation},
	}
}
