package gateway

import (
	"net/http"

	"nexus.internal/libs/metrics"
	"nexus.internal/services/gateway/internal/httpapi"
)

// Starting answers requests that come before the gateway can serve: it is alive and
// not ready. waitingFor says what it waits for, in words for everybody; empty for
// nothing in particular. What is measured can be scraped already.
func Starting(waitingFor func() string, measured *metrics.Provider) http.Handler {
	return httpapi.Starting(waitingFor, measured)
}
