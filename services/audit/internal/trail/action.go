package trail

import (
	"strings"

	"nexus.internal/libs/contract"
)

// Action is the name under which clients find events of a type: <area>_<what>
// for jobs, logins, keys, features and webhooks, <area>.<what> in any other area. The recovery of
// a lease has its bare name. A type of another shape is its own action.
func Action(eventType string) string {
	words := strings.Split(eventType, ".")
	if len(words) != 4 || words[0] != "nexus" || words[1] == "" || words[2] == "" || !strings.HasPrefix(words[3], "v") {
		return eventType
	}
	area, what := words[1], words[2]
	switch {
	case area == contract.AreaJob && what == contract.WhatStaleLease:
		return what
	case area == contract.AreaJob, area == contract.AreaAuth, area == contract.AreaKey, area == contract.AreaFeature, area == contract.AreaWebhook:
		return area + "_" + what
	default:
		return area + "." + what
	}
}
