-- Owners take turns as hosts do, also where they share a host.
DROP INDEX webhooks.deliveries_due;
CREATE INDEX deliveries_due ON webhooks.deliveries (host, owner, next_at) WHERE status = 'pending';
