package lifecycle

import (
	"context"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/jobs/internal/store"
)

// replyRoom is how much of a reply grants may fill; the rest is room for names.
const replyRoom = contract.MaxMessage - 128<<10

type claim struct {
	ctx    context.Context
	leases []store.Lease
	reply  chan claimReply
}

type claimReply struct {
	granted []store.Granted
	err     error
}

// Claim answers a worker that wants to run jobs.
func (s *Service) Claim(ctx context.Context, req contract.ClaimRequest) (contract.ClaimReply, error) {
	leases, err := parseLeases(req.Claims, req.Worker)
	if err != nil {
		return contract.ClaimReply{}, err
	}
	c := &claim{ctx: ctx, leases: leases, reply: make(chan claimReply, 1)}
	if err := s.claims.Add(ctx, c); err != nil {
		return contract.ClaimReply{}, fault.Wrap(fault.Unavailable, err, "The jobs service is shutting down.")
	}
	select {
	case r := <-c.reply:
		return s.answerClaim(leases, r)
	case <-ctx.Done():
		return contract.ClaimReply{}, fault.Wrap(fault.Unavailable, ctx.Err(), "The claim was not granted in time.")
	}
}

func (s *Service) answerClaim(leases []store.Lease, r claimReply) (contract.ClaimReply, error) {
	if r.err != nil {
		return contract.ClaimReply{}, r.err
	}
	out := contract.ClaimReply{LeaseSeconds: int(s.lease.Seconds())}
	granted := make(map[uuid.UUID]bool, len(r.granted))
	size := 0
	for _, g := range r.granted {
		granted[g.JobID] = true
		// What does not fit is claimed again under the same token.
		if size += 512 + len(g.Payload); size <= replyRoom {
			out.Granted = append(out.Granted, g.Grant)
		}
	}
	for _, l := range leases {
		if !granted[l.JobID] {
			out.Refused = append(out.Refused, l.JobID.String())
		}
	}
	return out, nil
}

func (s *Service) flushClaims(ctx context.Context, group []*claim) {
	var leases []store.Lease
	var requests []context.Context
	for _, c := range group {
		requests = append(requests, c.ctx)
		leases = append(leases, c.leases...)
	}
	ctx, span := s.startSpan(ctx, "claim jobs", requests)
	defer span.End()
	granted, entry, err := s.store.Claim(ctx, leases, s.lease)
	if err != nil {
		err = s.trouble(err, len(leases), "could not grant claims")
	}
	byToken := make(map[string]store.Granted, len(granted))
	for _, g := range granted {
		byToken[g.LeaseToken] = g
	}
	for _, c := range group {
		reply := claimReply{err: err}
		for _, l := range c.leases {
			if g, ok := byToken[l.Token.String()]; ok && g.JobID == l.JobID {
				reply.granted = append(reply.granted, g)
			}
		}
		c.reply <- reply
	}
	s.publish(ctx, entry)
}

// Heartbeat renews the leases of a worker and notes that it lives.
func (s *Service) Heartbeat(ctx context.Context, req contract.HeartbeatRequest) (contract.HeartbeatReply, error) {
	leases, err := parseLeases(req.Leases, req.Worker)
	if err != nil {
		return contract.HeartbeatReply{}, err
	}
	if !contract.ValidToken(req.Queue) {
		return contract.HeartbeatReply{}, fault.Invalidf("bad_queue", "%q is not a queue name.", req.Queue)
	}
	lost, err := s.store.Renew(ctx, leases, s.lease)
	if err != nil {
		return contract.HeartbeatReply{}, err
	}
	if err := s.store.SawWorker(ctx, req); err != nil {
		return contract.HeartbeatReply{}, err
	}
	if err := s.progress(ctx, req); err != nil {
		return contract.HeartbeatReply{}, err
	}
	var out contract.HeartbeatReply
	for _, token := range lost {
		out.Lost = append(out.Lost, token.String())
	}
	return out, nil
}
