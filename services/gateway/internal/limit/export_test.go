package limit

// Score lets tests find a bucket that a gateway keeps.
func Score(bucket, id string) uint64 { return score(bucket, id) }

// Peers is how many other gateways are known.
func (l *Limiter) Peers() int { return len(l.view.Load().peers) }
