package httpapi

import (
	"encoding/json"
	"net/http"

	"nexus.internal/libs/metrics"
)

// Starting answers requests that come before there is a Server.
func Starting(waitingFor func() string, measured *metrics.Provider) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			switch r.URL.Path {
			case "/healthz":
				answer(w, r, http.StatusOK, "application/json", statusBody{Status: "ok"})
				return
			case "/metrics":
				answer(w, r, http.StatusOK, "application/json", measured.Snapshot())
				return
			case "/metrics/prometheus":
				if text, err := measured.Exposition(); err == nil {
					write(w, r, http.StatusOK, metrics.ContentType, text)
					return
				}
			}
		}
		detail := "Not ready: it is starting."
		if what := waitingFor(); what != "" {
			detail = "Not ready: it is starting, and waits for " + what + "."
		}
		w.Header().Set("Retry-After", retryAfter)
		answer(w, r, http.StatusServiceUnavailable, problemType,
			newProblem(http.StatusServiceUnavailable, codeOf(http.StatusServiceUnavailable), detail, requestID(r.Header.Get(headerRequestID))))
	})
}

func answer(w http.ResponseWriter, r *http.Request, status int, kind string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status = http.StatusInternalServerError
	}
	if p, ok := v.(*Problem); ok {
		w.Header().Set(headerRequestID, p.RequestID)
	}
	write(w, r, status, kind, body)
}

func write(w http.ResponseWriter, r *http.Request, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// A client that is gone hears nothing.
		_, _ = w.Write(body)
	}
}
