package wmjs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// pullExpiry is how long the broker keeps one request for messages.
	pullExpiry = 30 * time.Second
	// pullHeartbeat is how often the broker says that it still keeps it; twice
	// as long without a word means that it does not.
	pullHeartbeat = 2 * time.Second
	// drainTimeout bounds the wait for messages on their way when reading ends.
	drainTimeout = 2 * time.Second
)

// ackSubject starts the reply subject of every stored message; the broker's
// own words have no such reply subject.
const ackSubject = "$JS.ACK."

// errSilent means that the broker stopped giving signs of life, for example
// because it was restarted and forgot the request.
var errSilent = errors.New("the broker fell silent")

// puller asks the broker for messages of one durable consumer, through one
// inbox, and never for more than there is room for.
//
// It speaks the pull protocol itself: the iterators of nats.go take any stored
// message with an empty body and a Status header for a word of the server, so
// one such message would reach no handler and hold up the rest, again and again.
// It is not safe for concurrent use.
type puller struct {
	nc    *nats.Conn
	sub   *nats.Subscription
	inbox chan *nats.Msg
	// next is the subject that requests go to.
	next string
	// asked is how many messages the broker may still send unasked.
	asked int
	// heard is when the broker last gave a sign of life.
	heard time.Time
	// closed is closed with the inbox, by us or with the connection.
	closed chan struct{}
}

func newPuller(js jetstream.JetStream, stream, durable string, room int) (*puller, error) {
	prefix := js.Options().APIPrefix
	if prefix == "" {
		prefix = jetstream.DefaultAPIPrefix
	}
	p := &puller{
		nc: js.Conn(),
		// A message that does not fit is dropped. Each request is larger than
		// those before it together, so there are few, and few words about them.
		inbox:  make(chan *nats.Msg, room+256),
		next:   strings.TrimSuffix(prefix, ".") + ".CONSUMER.MSG.NEXT." + stream + "." + durable,
		closed: make(chan struct{}),
	}
	var err error
	if p.sub, err = p.nc.ChanSubscribe(p.nc.NewInbox(), p.inbox); err != nil {
		return nil, fmt.Errorf("subscribe to an inbox: %w", err)
	}
	closed := sync.OnceFunc(func() { close(p.closed) })
	p.sub.SetClosedHandler(func(string) { closed() })
	return p, nil
}

// ask requests messages for the room that is left. It waits with that until
// there is more room than was asked for already: many small requests cost more
// than few large ones.
func (p *puller) ask(room int) error {
	want := room - p.asked
	if want <= p.asked {
		return nil
	}
	body, err := json.Marshal(struct {
		Batch     int           `json:"batch"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{want, pullExpiry, pullHeartbeat})
	if err != nil {
		return fmt.Errorf("encode a request for messages: %w", err)
	}
	if err := p.nc.PublishRequest(p.next, p.sub.Subject, body); err != nil {
		return fmt.Errorf("ask for messages: %w", err)
	}
	if p.asked == 0 {
		p.heard = time.Now()
	}
	p.asked += want
	return nil
}

// receive takes what came into the inbox and reports whether it is a message.
// A word of the broker that ends all requests is an error.
func (p *puller) receive(m *nats.Msg) (bool, error) {
	p.heard = time.Now()
	if isMessage(m) {
		p.asked = max(0, p.asked-1)
		return true, nil
	}
	return false, p.listen(m)
}

func isMessage(m *nats.Msg) bool { return strings.HasPrefix(m.Reply, ackSubject) }

// listen understands the broker's words: a sign of life, or the end of one
// request with the number of messages that did not come, or the end of all.
func (p *puller) listen(m *nats.Msg) error {
	if m.Header.Get("Status") == "100" {
		return nil
	}
	if unsent, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages")); err == nil {
		p.asked = max(0, p.asked-unsent)
		return nil
	}
	return fmt.Errorf("the broker said: %s %s", m.Header.Get("Status"), m.Header.Get("Description"))
}

// silent reports whether the broker owes a sign of life.
func (p *puller) silent(now time.Time) bool {
	return p.asked > 0 && now.Sub(p.heard) > 2*pullHeartbeat
}

// drain ends all requests and returns the messages that were on their way.
func (p *puller) drain() []*nats.Msg {
	if p.nc.IsConnected() && p.sub.Drain() == nil {
		timeout := time.NewTimer(drainTimeout)
		defer timeout.Stop()
		select {
		case <-p.closed:
		case <-timeout.C:
		}
	}
	p.close()
	var rest []*nats.Msg
	for {
		select {
		case m := <-p.inbox:
			if isMessage(m) {
				rest = append(rest, m)
			}
		default:
			return rest
		}
	}
}

// close ends all requests at once.
func (p *puller) close() {
	// It fails only when the connection or the subscription is gone already.
	_ = p.sub.Unsubscribe()
}
