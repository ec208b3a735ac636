// Package access is the one table of who may do what at the REST door. Routes
// take their least role from it, the documentation shows it, and tests hold
// every route to it.
//
// How a caller is known does not belong here; that is admission.
package access

import "nexus.internal/libs/identity"

// Rule says who may use one route.
type Rule struct {
	Method string
	// Path is the route's pattern, never a raw URL.
	Path string
	// Least is the least role; empty means that no key is needed.
	Least identity.Role
}

// Table lists every route.
func Table() []Rule {
	const (
		get  = "GET"
		post = "POST"
	)
	return []Rule{
		{get, "/healthz", ""},
		{get, "/readyz", ""},

		{get, "/api/v1/auth/whoami", identity.Viewer},

		{post, "/api/v1/jobs/submit", identity.Operator},
		{get, "/api/v1/jobs", identity.Viewer},
		{get, "/api/v1/jobs/{id}", identity.Viewer},
		{post, "/api/v1/jobs/{id}/cancel", identity.Operator},

		{get, "/api/v1/jobs/{id}/events", identity.Viewer},
		{get, "/api/v1/events", identity.Viewer},

		{get, "/api/v1/documents", identity.Viewer},
		{get, "/api/v1/documents/{id}", identity.Viewer},
		{get, "/api/v1/ingest/jobs/{id}", identity.Viewer},
		{get, "/api/v1/analysis/runs", identity.Viewer},
		{get, "/api/v1/analysis/runs/{id}", identity.Viewer},
	}
}

// Find is the rule of a route.
func Find(method, path string) (Rule, bool) {
	for _, r := range Table() {
		if r.Method == method && r.Path == path {
			return r, true
		}
	}
	return Rule{}, false
}
