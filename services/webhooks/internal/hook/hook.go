package hook

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
)

// Subscription is where an owner wants events posted.
type Subscription struct {
	ID    uuid.UUID
	Owner string
	URL   string
	// Events are kinds such as job.succeeded, sorted; none means all.
	Events []string
	// JobType is empty for jobs of any type.
	JobType        string
	Description    string
	All            bool
	Enabled        bool
	DisabledReason string
	Secret         string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Wants reports whether the subscription asks for a kind of event of a type of
// job.
func (s Subscription) Wants(event, jobType string) bool {
	return (s.JobType == "" || s.JobType == jobType) && wanted(s.Events, event)
}

// Wanted reports whether the hook of a job asks for a kind of event.
func Wanted(h contract.JobWebhook, event string) bool {
	return wanted(Kinds(h.Events), event)
}

func wanted(events []string, event string) bool {
	return len(events) == 0 || slices.Contains(events, event)
}

// Kinds is a checked list of kinds as it is kept: sorted, and empty where it
// means all.
func Kinds(events []string) []string {
	if slices.Contains(events, contract.AllWebhookEvents) {
		return []string{}
	}
	return append([]string{}, slices.Sorted(slices.Values(events))...)
}

// Shown is a subscription as its owner sees it.
func (s Subscription) Shown() contract.Webhook {
	events := s.Events
	if len(events) == 0 {
		events = []string{contract.AllWebhookEvents}
	}
	return contract.Webhook{
		WebhookID: s.ID.String(), Owner: s.Owner, URL: s.URL, Events: events, JobType: s.JobType, Description: s.Description, All: s.All,
		Enabled: s.Enabled, DisabledReason: s.DisabledReason, CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(),
	}
}

// Draft is a delivery to be made.
type Draft struct {
	ID uuid.UUID
	// Subscription is nil for the hook of a single job.
	Subscription *uuid.UUID
	Owner        string
	EventID      string
	Event        string
	// URL is that of the hook of a single job, and otherwise empty.
	URL  string
	Host string
	Body []byte
}

// Claimed is a delivery that this process is to post now.
type Claimed struct {
	ID           uuid.UUID
	Claim        uuid.UUID
	Subscription *uuid.UUID
	Owner        string
	EventID      string
	Event        string
	URL          string
	Host         string
	Secret       string
	Body         []byte
	// Attempts counts the posts before this one.
	Attempts int
	// Enabled is false where the subscription was switched off meanwhile.
	Enabled bool
}

// Outcome is what came of a post.
type Outcome struct {
	// Status is the answer; zero where none came.
	Status int
	// RetryAfter is how long the answer asks to wait.
	RetryAfter time.Duration
	// Err is why nothing was delivered; nil where it was.
	Err error
}
