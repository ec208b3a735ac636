package contract

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of webhooks.
const (
	// MaxWebhookURL is the longest URL, in bytes.
	MaxWebhookURL = 2048
	// MaxWebhooksOfOwner bounds the subscriptions of one owner.
	MaxWebhooksOfOwner = 20
	// MaxWebhookDescription is the longest description, in bytes.
	MaxWebhookDescription = 500
	// MinWebhookSecret and MaxWebhookSecret bound a secret that its owner
	// chooses, in bytes.
	MinWebhookSecret = 16
	MaxWebhookSecret = 200
	// MaxJobWebhooks bounds the jobs of one JobWebhooksRequest.
	MaxJobWebhooks = 200
)

// AllWebhookEvents stands for every kind of event.
const AllWebhookEvents = "*"

// WebhookEvent names the events of jobs that reach a state, as subscriptions do.
func WebhookEvent(status Status) string { return AreaJob + "." + string(status) }

// WebhookEvents lists the kinds of events that can be subscribed to.
func WebhookEvents() []string {
	var out []string
	for _, s := range Statuses() {
		out = append(out, WebhookEvent(s))
	}
	return out
}

// JobWebhook is where the events of one job are posted, as its submit asked.
type JobWebhook struct {
	URL string `json:"url"`
	// Events are the kinds that are posted; none means all.
	Events []string `json:"events,omitempty"`
}

// CheckJobWebhook reports what is wrong with the hook of a job, naming the
// field. No hook is fine.
func CheckJobWebhook(h *JobWebhook) error {
	if h == nil {
		return nil
	}
	if err := CheckWebhookURL(h.URL); err != nil {
		return fmt.Errorf("webhook.url: %w", err)
	}
	if err := CheckWebhookEvents(h.Events); err != nil {
		return fmt.Errorf("webhook.events: %w", err)
	}
	return nil
}

// CheckWebhookEvents reports what is wrong with a list of kinds of events. An
// empty list is fine and means all.
func CheckWebhookEvents(events []string) error {
	kinds := WebhookEvents()
	if len(events) > len(kinds) {
		return fmt.Errorf("there are %d; the limit is %d", len(events), len(kinds))
	}
	for i, e := range events {
		switch {
		case e == AllWebhookEvents && len(events) > 1:
			return errors.New("'*' means all and stands alone")
		case e == AllWebhookEvents:
		case !slices.Contains(kinds, e):
			return fmt.Errorf("unknown event '%s': want * or any of %s", Cut(e, 64), strings.Join(kinds, ", "))
		case slices.Contains(events[:i], e):
			return fmt.Errorf("'%s' is given twice", e)
		}
	}
	return nil
}

// CheckWebhookURL reports what is wrong with the address of a webhook. What its
// host resolves to is not looked at here: that can change until it is dialled.
func CheckWebhookURL(text string) error {
	if text == "" || len(text) > MaxWebhookURL {
		return fmt.Errorf("it has %d bytes: want 1 to %d", len(text), MaxWebhookURL)
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return errors.New("it may hold visible ASCII characters only; write the others escaped, and a host in punycode")
		}
	}
	if strings.Contains(text, "#") {
		return errors.New("it must not have a fragment")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("its scheme must be http or https")
	case u.User != nil:
		return errors.New("it must not hold a user name or a password")
	case u.Opaque != "" || u.Hostname() == "":
		return errors.New("it has no host")
	case !plain(u.Host):
		// Parsing has undone escapes, of which only bytes beyond ASCII and the
		// zones of addresses may be written so.
		return errors.New("its host must not hold escaped characters or the zone of an address; write others in punycode")
	case len(u.Hostname()) > maxHost:
		return fmt.Errorf("its host has %d bytes; the limit is %d", len(u.Hostname()), maxHost)
	}
	if strings.HasSuffix(u.Host, ":") {
		return errors.New("its port is missing")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65_535 {
			return fmt.Errorf("its port is %s: want 1 to 65535", p)
		}
	}
	return nil
}

// maxHost is the longest name there can be in DNS, in bytes.
const maxHost = 253

// plain reports whether a host has ASCII characters only, and no zone.
func plain(host string) bool {
	for i := range len(host) {
		if host[i] >= utf8.RuneSelf || host[i] == '%' {
			return false
		}
	}
	return true
}

// WebhookName is the host of a checked URL, as it is dialled.
func WebhookName(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// WebhookHost is the host and port of a checked URL in one spelling: lower case,
// without the dot that may end a name and the port that the scheme implies.
func WebhookHost(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	name, port := strings.ToLower(u.Hostname()), u.Port()
	if trimmed := strings.TrimRight(name, "."); trimmed != "" {
		name = trimmed
	}
	if n, err := strconv.Atoi(port); err == nil {
		port = strconv.Itoa(n)
	}
	if u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		port = ""
	}
	switch {
	case port != "":
		return net.JoinHostPort(name, port)
	case strings.Contains(name, ":"):
		return "[" + name + "]"
	default:
		return name
	}
}

// CheckWebhookSecret reports what is wrong with a secret that an owner chose.
func CheckWebhookSecret(secret string) error {
	if len(secret) < MinWebhookSecret || len(secret) > MaxWebhookSecret {
		return fmt.Errorf("it has %d bytes: want %d to %d", len(secret), MinWebhookSecret, MaxWebhookSecret)
	}
	for i := range len(secret) {
		if secret[i] <= ' ' || secret[i] > '~' {
			return errors.New("it may hold visible ASCII characters only")
		}
	}
	if encoded, ok := strings.CutPrefix(secret, WebhookSecretPrefix); ok {
		key, err := base64.StdEncoding.Strict().DecodeString(encoded)
		switch {
		case err != nil:
			return errors.New("what follows " + WebhookSecretPrefix + " is not base64")
		case len(key) < MinWebhookSecret:
			return fmt.Errorf("the key in it has %d bytes: want at least %d", len(key), MinWebhookSecret)
		}
	}
	return nil
}

// WebhookSecretPrefix begins a secret whose rest is a key in base64, as the Standard
// Webhooks specification has it.
const WebhookSecretPrefix = "whsec_"

// WebhookKey is the key that a secret stands for: what it encodes, or else its bytes.
func WebhookKey(secret string) []byte {
	if encoded, ok := strings.CutPrefix(secret, WebhookSecretPrefix); ok {
		if key, err := base64.StdEncoding.Strict().DecodeString(encoded); err == nil {
			return key
		}
	}
	return []byte(secret)
}

// CheckWebhookDescription reports what is wrong with a description.
func CheckWebhookDescription(text string) error {
	switch {
	case len(text) > MaxWebhookDescription:
		return fmt.Errorf("it has %d bytes; the limit is %d", len(text), MaxWebhookDescription)
	case !utf8.ValidString(text):
		return errors.New("it is not valid UTF-8")
	case strings.ContainsRune(text, 0):
		return errors.New("it must not contain the character NUL")
	}
	return nil
}

// WebhookAsker is who asks about webhooks. An admin may see and change those of
// everybody.
type WebhookAsker struct {
	Asker
	Admin bool `json:"admin,omitempty"`
}

// Webhook is a subscription: never its secret.
type Webhook struct {
	WebhookID   string   `json:"webhook_id"`
	Owner       string   `json:"owner"`
	URL         string   `json:"url"`
	Events      []string `json:"events"`
	JobType     string   `json:"job_type,omitempty"`
	Description string   `json:"description"`
	// All subscriptions hear of the jobs of everybody.
	All     bool `json:"all"`
	Enabled bool `json:"enabled"`
	// DisabledReason says why Nexus itself has switched it off.
	DisabledReason string    `json:"disabled_reason,omitempty"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// WebhookWithSecret is a subscription; the secret is there only where it was
// just made, and is shown that once.
type WebhookWithSecret struct {
	Webhook
	Secret string `json:"secret,omitempty"`
}

// CreateWebhookRequest makes a subscription. It is answered with a
// WebhookWithSecret.
type CreateWebhookRequest struct {
	WebhookAsker
	URL         string   `json:"url"`
	Events      []string `json:"events,omitempty"`
	JobType     string   `json:"job_type,omitempty"`
	Description string   `json:"description,omitempty"`
	All         bool     `json:"all,omitempty"`
	// Secret is made where it is empty.
	Secret string `json:"secret,omitempty"`
}

// ListWebhooksRequest selects subscriptions, newest first.
type ListWebhooksRequest struct {
	WebhookAsker
	Limit  int `json:"limit"`
	Offset int `json:"offset"`
}

// WebhooksReply is one page of subscriptions.
type WebhooksReply struct {
	Webhooks []Webhook `json:"webhooks"`
	Limit    int       `json:"limit"`
	Offset   int       `json:"offset"`
}

// WebhookRequest names one subscription.
type WebhookRequest struct {
	WebhookAsker
	WebhookID string `json:"webhook_id"`
}

// UpdateWebhookRequest changes a subscription. Nil fields stay as they are. It
// is answered with a WebhookWithSecret.
type UpdateWebhookRequest struct {
	WebhookAsker
	WebhookID string    `json:"webhook_id"`
	URL       *string   `json:"url,omitempty"`
	Events    *[]string `json:"events,omitempty"`
	Enabled   *bool     `json:"enabled,omitempty"`
	// JobType sets the filter; empty takes it away.
	JobType      *string `json:"job_type,omitempty"`
	Description  *string `json:"description,omitempty"`
	RotateSecret bool    `json:"rotate_secret,omitempty"`
}

// WebhookSecretRequest gives an owner a new secret for the hooks of single jobs;
// the old one ends at once. It is answered with a WebhookSecret.
type WebhookSecretRequest struct {
	Asker
}

// WebhookSecret is what the posts to the hooks of an owner's jobs are signed with.
type WebhookSecret struct {
	Owner  string `json:"owner"`
	Secret string `json:"secret"`
}

// DeliveryStatus is the state of a delivery.
type DeliveryStatus string

// The states of a delivery.
const (
	DeliveryPending   DeliveryStatus = "pending"
	DeliveryDelivered DeliveryStatus = "delivered"
	DeliveryFailed    DeliveryStatus = "failed"
)

// WebhookDelivery is one event on its way to one subscription.
type WebhookDelivery struct {
	DeliveryID string         `json:"delivery_id"`
	WebhookID  string         `json:"webhook_id"`
	EventID    string         `json:"event_id"`
	Event      string         `json:"event"`
	Status     DeliveryStatus `json:"status" enum:"pending,delivered,failed"`
	// Attempts counts the posts since it was made, or was asked for again.
	Attempts      int        `json:"attempts"`
	NextAttemptAt *time.Time `json:"next_attempt_at"`
	LastAttemptAt *time.Time `json:"last_attempt_at"`
	// ResponseStatus is the last answer; nil where none came.
	ResponseStatus *int       `json:"response_status"`
	Error          string     `json:"error,omitempty"`
	CreatedAt      time.Time  `json:"created_at"`
	FinishedAt     *time.Time `json:"finished_at"`
}

// DeliveriesRequest selects the deliveries of a subscription, newest first.
type DeliveriesRequest struct {
	WebhookAsker
	WebhookID string `json:"webhook_id"`
	Status    string `json:"status,omitempty"`
	Limit     int    `json:"limit"`
	// Cursor goes on where the page ended that gave it.
	Cursor string `json:"cursor,omitempty"`
}

// DeliveriesReply is one page of deliveries.
type DeliveriesReply struct {
	Deliveries []WebhookDelivery `json:"deliveries"`
	Limit      int               `json:"limit"`
	// NextCursor leads to the next page; empty on the last.
	NextCursor string `json:"next_cursor,omitempty"`
}

// RedeliverRequest has a delivery made again from its first attempt. It is
// answered with the WebhookDelivery.
type RedeliverRequest struct {
	WebhookAsker
	WebhookID  string `json:"webhook_id"`
	DeliveryID string `json:"delivery_id"`
}

// JobWebhooksRequest asks for the hooks of jobs whose events say that they have
// one.
type JobWebhooksRequest struct {
	JobIDs []string `json:"job_ids"`
}

// JobWebhooksReply answers it. A job that is gone, or has none, is left out.
type JobWebhooksReply struct {
	Webhooks map[string]JobWebhook `json:"webhooks"`
}

// AreaWebhook is the area of the events of changed subscriptions.
const AreaWebhook = "webhook"

// WhatDeleted is the event of a subscription that is no more; see WhatCreated
// for the others.
const WhatDeleted = "deleted"

// WebhookChange is the data of a webhook event: the subscription after the
// change. Of its URL only the host is told: the rest is often a secret.
type WebhookChange struct {
	WebhookID      string   `json:"webhook_id,omitempty"`
	Owner          string   `json:"owner"`
	Host           string   `json:"host,omitempty"`
	Events         []string `json:"events,omitempty"`
	JobType        string   `json:"job_type,omitempty"`
	All            bool     `json:"all,omitempty"`
	Enabled        bool     `json:"enabled"`
	DisabledReason string   `json:"disabled_reason,omitempty"`
	// Changed names the fields that are new.
	Changed []string `json:"changed"`
	Address string   `json:"address,omitempty"`
}

// hookMark is how an event of a job with a hook of its own is told from others
// without decoding it.
const hookMark = `"webhook":true`

// MayHaveJobWebhook reports whether one of the events of a pack may be of a job
// with a hook of its own. It decodes nothing.
func MayHaveJobWebhook(pack []byte) bool {
	return bytes.Contains(pack, []byte(hookMark))
}

// WebhookBody is what is posted of an event: the same JSON that event streams
// send.
func WebhookBody(e Event) (json.RawMessage, error) {
	body, err := Encode(e)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return body, nil
}
