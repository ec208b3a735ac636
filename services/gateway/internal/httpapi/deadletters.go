package httpapi

import (
	"context"
	"net/http"
	"time"

	"nexus.internal/libs/contract"
)

type deadLettersInput struct {
	Service string    `query:"service" maxLength:"64" doc:"Only what this service set aside."`
	Reason  string    `query:"reason" maxLength:"1024" doc:"Only what was set aside for this reason: the sentence, or the word such as undecodable."`
	Subject string    `query:"subject" maxLength:"1024" doc:"Only messages that were first published to this subject."`
	After   time.Time `query:"after" doc:"Only what was set aside at this time or later; RFC 3339."`
	Before  time.Time `query:"before" doc:"Only what was set aside before this time; RFC 3339."`
	All     bool      `query:"all" doc:"Discarded ones as well."`
	Limit   int       `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
	Cursor  string    `query:"cursor" maxLength:"64" doc:"Go on where the page ended that gave this as next_cursor."`
}

func (s *Server) deadLetters(ctx context.Context, in *deadLettersInput) (*body[contract.DeadLettersReply], error) {
	q := contract.DeadLetterQuery{Service: in.Service, Reason: in.Reason, Origin: in.Subject, All: in.All, Limit: in.Limit, Cursor: in.Cursor}
	if !in.After.IsZero() {
		q.After = &in.After
	}
	if !in.Before.IsZero() {
		q.Before = &in.Before
	}
	return ask[contract.DeadLettersReply](ctx, s, contract.RPCDeadLetters, q)
}

type letterInput struct {
	ID int64 `path:"id" minimum:"1" doc:"The id."`
}

func (s *Server) deadLetter(ctx context.Context, in *letterInput) (*body[contract.DeadLetter], error) {
	return ask[contract.DeadLetter](ctx, s, contract.RPCDeadLetter, contract.DeadLetterRequest{ID: in.ID})
}

type replayInput struct {
	ID    int64 `path:"id" minimum:"1" doc:"The id."`
	Force bool  `query:"force" doc:"Replay one that was replayed or discarded before."`
}

func (s *Server) replayDeadLetter(ctx context.Context, in *replayInput) (*body[contract.DeadLetter], error) {
	return s.markDeadLetter(ctx, contract.RPCDeadLetterReplay, in.ID, in.Force)
}

func (s *Server) discardDeadLetter(ctx context.Context, in *letterInput) (*body[contract.DeadLetter], error) {
	return s.markDeadLetter(ctx, contract.RPCDeadLetterDiscard, in.ID, false)
}

func (s *Server) markDeadLetter(ctx context.Context, subject string, id int64, force bool) (*body[contract.DeadLetter], error) {
	by, err := askerOf(ctx)
	if err != nil {
		return nil, err
	}
	return ask[contract.DeadLetter](ctx, s, subject, contract.MarkDeadLetterRequest{Asker: by, ID: id, Force: force})
}

func (s *Server) deadLetterRoutes() {
	const tag = "Dead letters"
	bad := []int{http.StatusUnprocessableEntity}
	gone := []int{http.StatusUnprocessableEntity, http.StatusNotFound}
	mark := []int{http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict}
	register(s, route{method: http.MethodGet, path: "/api/v1/dead-letters", id: "list-dead-letters", summary: "List messages that nobody could handle, newest first", tag: tag, errors: bad}, s.deadLetters)
	register(s, route{method: http.MethodGet, path: "/api/v1/dead-letters/{id}", id: "get-dead-letter", summary: "Read a dead letter", tag: tag, errors: gone}, s.deadLetter)
	register(s, route{
		method: http.MethodPost, path: "/api/v1/dead-letters/{id}/replay", id: "replay-dead-letter", tag: tag, errors: mark,
		summary: "Publish a dead letter again where it was first published",
	}, s.replayDeadLetter)
	register(s, route{method: http.MethodPost, path: "/api/v1/dead-letters/{id}/discard", id: "discard-dead-letter", summary: "Hide a dead letter from the list", tag: tag, errors: mark}, s.discardDeadLetter)
}
