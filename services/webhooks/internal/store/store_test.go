package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
	"nexus.internal/services/webhooks/internal/hook"
	"nexus.internal/services/webhooks/internal/store"
)

// silent takes messages and sends them nowhere.
type silent struct{}

func (silent) Publish(context.Context, ...bus.Message) error { return nil }

func open(t testing.TB) (*store.Store, *pg.DB) {
	t.Helper()
	url := testkit.PostgresURL(t)
	db := testkit.OpenPostgres(t, url, migrations.Role("webhooks"))
	return store.New(db, outbox.New(db, "webhooks", silent{}, zerolog.Nop())), testkit.OpenPostgres(t, url, "")
}

func secret() (string, error) { return "0123456789abcdef", nil }

func tell(hook.Subscription) (bus.Message, error) { return bus.Message{Body: []byte(`[]`)}, nil }

func subscribe(t testing.TB, st *store.Store, owner string) hook.Subscription {
	t.Helper()
	made, err := st.Create(t.Context(), hook.Subscription{ID: uuid.Must(uuid.NewV7()), Owner: owner, URL: "https://example.com", Events: []string{}, Secret: "s"}, 20, tell)
	require.NoError(t, err)
	return made
}

func draft(host string) hook.Draft {
	id := uuid.Must(uuid.NewV7())
	return hook.Draft{ID: id, Owner: "ann", EventID: id.String() + "/1", Event: "job.failed", URL: "http://" + host, Host: host, Body: []byte(`{}`)}
}

func TestRowsMatchTheSchema(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	testkit.RequireRowsMatch(t, db, store.Rows())
}

func room() store.Room { return store.Room{PerHost: 4, PerOwner: 10, Free: 10} }

// Owners take turns: also at a host that they share, and also where one of them
// has many hosts with much that is due for longer.
func TestClaimsAreFairToOwners(t *testing.T) {
	t.Parallel()
	st, _ := open(t)
	of := func(owner string, n int, hosts ...string) {
		t.Helper()
		var drafts []hook.Draft
		for _, host := range hosts {
			for range n {
				d := draft(host)
				d.Owner = owner
				drafts = append(drafts, d)
			}
		}
		require.NoError(t, st.Add(t.Context(), drafts, secret))
	}
	claimed := func(r store.Room) string {
		t.Helper()
		got, err := st.Claim(t.Context(), r, time.Minute)
		require.NoError(t, err)
		count := map[string]int{}
		for _, c := range got {
			count[c.Owner+"@"+c.Host]++
		}
		return fmt.Sprint(count)
	}
	of("ann", 50, "shared", "a1", "a2", "a3", "a4", "a5")
	of("bob", 2, "shared")
	of("cat", 1, "c1")
	require.Equal(t, "map[bob@shared:1]", claimed(store.Room{Owners: map[string]int{"ann": 3, "cat": 1}, PerHost: 4, PerOwner: 4, Free: 1}))
	require.Equal(t, "map[]", claimed(store.Room{Owners: map[string]int{"ann": 4, "bob": 4, "cat": 4}, PerHost: 4, PerOwner: 4, Free: 9}))
	require.Equal(t, "map[cat@c1:1]", claimed(store.Room{Owners: map[string]int{"ann": 3, "bob": 1}, PerHost: 4, PerOwner: 4, Free: 1}))
	require.Equal(t, "map[bob@shared:1]", claimed(store.Room{Hosts: map[string]int{"shared": 3}, Owners: map[string]int{"ann": 3}, PerHost: 4, PerOwner: 4, Free: 1}))
	require.Equal(t, "map[ann@a1:1 ann@a2:1 ann@a3:1 ann@a4:1]", claimed(store.Room{Hosts: map[string]int{"shared": 4, "a5": 4}, PerHost: 4, PerOwner: 4, Free: 9}))
}

// However many hosts an owner has, and however much waits for its next attempt, a
// claim costs little and each delivery has its turn.
func TestClaimsAreCheap(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	add := func(owner, host string, many int, next string) {
		t.Helper()
		_, err := db.Pool.Exec(t.Context(), `INSERT INTO webhooks.deliveries (id, owner, event_id, event, url, host, body, next_at)
			SELECT gen_random_uuid(), $1, $2::text || n, 'job.failed', 'http://' || $2::text, $2::text || CASE WHEN $2::text = 'one' THEN '' ELSE n::text END, '{}', now() + $4::interval
			FROM generate_series(1, $3::int) AS n`, owner, host, many, next)
		require.NoError(t, err)
	}
	add("ann", "waits", 20_000, "1 hour")
	add("ann", "one", 20_000, "1 hour")
	began := time.Now()
	const claims = 50
	for range claims {
		got, err := st.Claim(t.Context(), room(), time.Minute)
		require.NoError(t, err)
		require.Empty(t, got)
	}
	// Where every host and every row is looked at it takes half a minute.
	require.Less(t, time.Since(began), 8*time.Second)

	const many = 500
	add("bob", "due", many, "0")
	seen := map[uuid.UUID]bool{}
	testkit.Eventually(t, func() bool {
		got, err := st.Claim(t.Context(), store.Room{PerHost: 4, PerOwner: 60, Free: 60}, time.Hour)
		require.NoError(t, err)
		for _, c := range got {
			require.False(t, seen[c.ID])
			seen[c.ID] = true
		}
		return len(seen) == many
	}, "some have no turn")
}

// A claim takes few of each host, fewest under way first, and none twice.
func TestClaimsAreFair(t *testing.T) {
	t.Parallel()
	st, _ := open(t)
	var drafts []hook.Draft
	for range 20 {
		drafts = append(drafts, draft("a"))
	}
	drafts = append(drafts, draft("b"), draft("c"))
	require.NoError(t, st.Add(t.Context(), drafts, secret))
	claimed := func(busy map[string]int, limit int) string {
		t.Helper()
		got, err := st.Claim(t.Context(), store.Room{Hosts: busy, PerHost: 4, PerOwner: 10, Free: limit}, time.Minute)
		require.NoError(t, err)
		hosts := map[string]int{}
		for _, c := range got {
			hosts[c.Host]++
			require.Equal(t, "0123456789abcdef", c.Secret)
			require.True(t, c.Enabled)
		}
		return fmt.Sprint(hosts)
	}
	require.Equal(t, "map[a:1 b:1 c:1]", claimed(nil, 3))
	require.Equal(t, "map[a:3]", claimed(map[string]int{"a": 1}, 10))
	require.Equal(t, "map[]", claimed(map[string]int{"a": 4}, 10))
	require.Equal(t, "map[a:2]", claimed(map[string]int{"a": 2}, 10))
	require.Equal(t, "map[a:1]", claimed(nil, 1))
}

// A claim that ran out is somebody else's, and whoever had it may write nothing.
func TestClaimsRunOut(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	require.NoError(t, st.Add(t.Context(), []hook.Draft{draft("a")}, secret))
	first, err := st.Claim(t.Context(), room(), time.Millisecond)
	require.NoError(t, err)
	require.Len(t, first, 1)
	var second []hook.Claimed
	testkit.Eventually(t, func() bool {
		second, err = st.Claim(t.Context(), room(), time.Minute)
		return err == nil && len(second) == 1
	}, "the claim did not run out")
	require.Equal(t, first[0].ID, second[0].ID)
	require.NoError(t, st.Finish(t.Context(), first[0], store.Result{Status: contract.DeliveryFailed}))
	var status string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT status FROM webhooks.deliveries`).Scan(&status))
	require.Equal(t, "pending", status)
	require.NoError(t, st.Finish(t.Context(), second[0], store.Result{Status: contract.DeliveryDelivered, ResponseStatus: 200}))
	require.NoError(t, st.Finish(t.Context(), second[0], store.Result{Status: contract.DeliveryFailed}))
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT status FROM webhooks.deliveries`).Scan(&status))
	require.Equal(t, "delivered", status)
}

// A subscription ends with its deliveries, however many there are, and only at
// the word of its owner.
func TestDeleteTakesEveryDeliveryAlong(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	sub, other := subscribe(t, st, "ann"), subscribe(t, st, "ann")
	const many = 12_000
	for _, s := range []hook.Subscription{sub, other} {
		_, err := db.Pool.Exec(t.Context(), `INSERT INTO webhooks.deliveries (id, subscription_id, owner, event_id, event, host, body)
			SELECT gen_random_uuid(), $1, 'ann', 'e/' || n, 'job.failed', 'example.com', '{}' FROM generate_series(1, $2::int) AS n`, s.ID, many)
		require.NoError(t, err)
	}
	count := func() (n int) {
		t.Helper()
		require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM webhooks.deliveries`).Scan(&n))
		return n
	}
	require.ErrorIs(t, st.Delete(t.Context(), sub.ID, "bob", tell), store.ErrUnknown)
	require.Equal(t, 2*many, count())
	require.NoError(t, st.Delete(t.Context(), sub.ID, "ann", tell))
	require.Equal(t, many, count())
	require.ErrorIs(t, st.Delete(t.Context(), sub.ID, "ann", tell), store.ErrUnknown)
}

func TestDeliveriesAreOnce(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	sub := subscribe(t, st, "ann")
	gone := uuid.Must(uuid.NewV7())
	var drafts []hook.Draft
	for _, to := range []*uuid.UUID{&sub.ID, &sub.ID, nil, nil, &gone} {
		d := draft("a")
		d.EventID, d.Subscription = "e/1", to
		if to != nil {
			d.URL = ""
		}
		drafts = append(drafts, d)
	}
	for range 2 {
		require.NoError(t, st.Add(t.Context(), drafts, secret))
	}
	var n int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM webhooks.deliveries`).Scan(&n))
	require.Equal(t, 2, n)
	require.NoError(t, st.Add(t.Context(), nil, secret))
	bad := draft("a")
	bad.Body = []byte("\x00")
	require.True(t, pg.IsBadData(st.Add(t.Context(), []hook.Draft{bad}, secret)))
}

// Many who make subscriptions at once cannot pass the limit together.
func TestLimitHoldsAgainstMany(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	errs := make(chan error, 10)
	for range 10 {
		go func() {
			_, err := st.Create(context.WithoutCancel(t.Context()), hook.Subscription{ID: uuid.Must(uuid.NewV7()), Owner: "ann", URL: "https://example.com", Events: []string{}, Secret: "s"}, 3, tell)
			errs <- err
		}()
	}
	refused := 0
	for range 10 {
		if err := testkit.Receive(t, errs); err != nil {
			require.ErrorIs(t, err, store.ErrTooMany)
			refused++
		}
	}
	require.Equal(t, 7, refused)
	before, err := st.Revision(t.Context())
	require.NoError(t, err)
	at, subs, err := st.Enabled(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, at)
	require.Len(t, subs, 3)
	var told int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM webhooks.outbox`).Scan(&told))
	require.Equal(t, 3, told, "what was refused is not told")
}

func TestChecksRefuseImpossibleRows(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	insert := func(columns string) error {
		_, err := db.Pool.Exec(t.Context(), `INSERT INTO webhooks.deliveries (id, owner, event_id, event, host, body, url, status, next_at, finished_at, claim)
			SELECT gen_random_uuid(), 'ann', gen_random_uuid()::text, 'job.failed', 'h', '{}', `+columns)
		return err
	}
	require.NoError(t, insert(`'u', 'pending', now(), NULL, NULL`))
	for columns, constraint := range map[string]string{
		`NULL, 'pending', now(), NULL, NULL`:               "url_of_job",
		`'u', 'pending', NULL, NULL, NULL`:                 "next_while_pending",
		`'u', 'failed', now(), now(), NULL`:                "next_while_pending",
		`'u', 'failed', NULL, NULL, NULL`:                  "finished_once",
		`'u', 'delivered', NULL, now(), gen_random_uuid()`: "claim_while_pending",
		`'u', 'lost', NULL, now(), NULL`:                   "status",
	} {
		err := insert(columns)
		require.ErrorContains(t, err, constraint, columns)
	}
}
