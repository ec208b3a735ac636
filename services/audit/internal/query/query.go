package query

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/audit/internal/store"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	// maxDetails bounds the details of an entry in a list, in bytes.
	maxDetails = 64 << 10
	// replyRoom is what a reply needs beside its entries.
	replyRoom = 4096
)

// Lister finds the newest entries of the trail; the details of an entry that
// has more than maxDetails bytes of them are replaced.
type Lister interface {
	List(ctx context.Context, q contract.AuditQuery, behind *store.Place, maxDetails int) ([]contract.AuditEntry, error)
}

// Logs answers contract.RPCAuditLogs.
type Logs struct {
	store Lister
	// maxReply is the largest message that the broker takes, in bytes.
	maxReply func() int64
}

// New makes one that reads from store.
func New(store Lister, maxReply func() int64) *Logs { return &Logs{store, maxReply} }

// List answers with the newest entries that fit into one message. Where not
// all that were asked for do, the limit of the reply says how many did: a page
// with fewer entries than its limit is always the last.
func (l *Logs) List(ctx context.Context, q contract.AuditQuery) (contract.AuditReply, error) {
	if q.Limit == 0 {
		q.Limit = defaultLimit
	}
	if err := check(q); err != nil {
		return contract.AuditReply{}, err
	}
	behind, err := placeOf(q.Cursor)
	if err != nil {
		return contract.AuditReply{}, err
	}
	entries, err := l.store.List(ctx, q, behind, maxDetails)
	if err != nil {
		return contract.AuditReply{}, err
	}
	n, err := fitting(entries, int(l.maxReply())-replyRoom)
	if err != nil {
		return contract.AuditReply{}, err
	}
	reply := contract.AuditReply{Entries: entries[:n], Limit: q.Limit, Offset: q.Offset}
	if n < len(entries) {
		reply.Limit = n
	}
	if n == reply.Limit {
		reply.NextCursor = cursorOf(entries[n-1])
	}
	return reply, nil
}

// cursorOf names the place behind an entry. Clients pass it back as it is.
func cursorOf(e contract.AuditEntry) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", e.OccurredAt.UnixMicro(), e.ID))
}

func placeOf(cursor string) (*store.Place, error) {
	if cursor == "" {
		return nil, nil //nolint:nilnil // the beginning is no place
	}
	var at, id int64
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d.%d", &at, &id)
	}
	if err != nil || string(text) != fmt.Sprintf("%d.%d", at, id) {
		return nil, fault.Unprocessablef("cursor is not one that a page of this list has given")
	}
	return &store.Place{OccurredAt: time.UnixMicro(at).UTC(), ID: id}, nil
}

func check(q contract.AuditQuery) error {
	switch {
	case q.Limit < 1 || q.Limit > maxLimit:
		return fault.Unprocessablef("limit is %d: want 1 to %d", q.Limit, maxLimit)
	case q.Cursor != "" && q.Offset != 0:
		return fault.Unprocessablef("cursor and offset cannot be used together")
	case q.Offset < 0:
		return fault.Unprocessablef("offset is %d: want 0 or more", q.Offset)
	case strings.ContainsRune(q.Action+q.Actor+q.RequestID+q.EventID, 0):
		return fault.Unprocessablef("action, actor, request_id and event_id cannot hold NUL characters")
	}
	return nil
}

// fitting is how many entries fit into room bytes of JSON, at least the first:
// with its details bounded it always does.
func fitting(entries []contract.AuditEntry, room int) (int, error) {
	for i, e := range entries {
		encoded, err := json.Marshal(e)
		if err != nil {
			return 0, fmt.Errorf("encode audit entry %d: %w", e.ID, err)
		}
		if room -= len(encoded) + 1; room < 0 {
			return max(1, i), nil
		}
	}
	return len(entries), nil
}
