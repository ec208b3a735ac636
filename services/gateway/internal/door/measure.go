package door

import "nexus.internal/libs/metrics"

// What becomes of a message.
const (
	accepted = "accepted"
	refused  = "refused"
	putBack  = "put_back"
)

// limitDoor is the limit that is counted here.
const limitDoor = "door"

// measures count the messages.
type measures struct{ messages, limited *metrics.Counter }

// Measure counts messages from now on. It must be called before Run.
func (d *Door) Measure(set *metrics.Set) {
	d.measures = measures{messages: set.Counter(metrics.DoorMessages), limited: set.Counter(metrics.LimitRefusals)}
	for _, outcome := range []string{accepted, refused, putBack} {
		d.measures.messages.Expect(outcome)
	}
	d.measures.limited.Expect(limitDoor)
}

func (m *measures) settled(outcome string) { m.messages.Add(1, outcome) }
