DROP TABLE webhooks.outbox;
DROP TABLE webhooks.deliveries;
DROP TABLE webhooks.owners;
DROP TABLE webhooks.revision;
DROP TABLE webhooks.subscriptions;
