-- Owners take turns as hosts do, also where they share a host.
DROP INDEX webhooks.deliveries_due;
CREATE INDEX deliveries_due ON webhooks.deliveries (owner, md5(host), next_at) WHERE status = 'pending';
