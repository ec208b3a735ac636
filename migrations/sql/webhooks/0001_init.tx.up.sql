-- Secrets are kept as they are: they are needed to sign. Only the role of the
-- service reads this schema.
CREATE TABLE webhooks.subscriptions (
    id              uuid PRIMARY KEY,
    owner           text NOT NULL CHECK (owner ~ '^[A-Za-z0-9_-]{1,64}$'),
    url             text NOT NULL CHECK (octet_length(url) BETWEEN 1 AND 2048),
    events          text[] NOT NULL,
    job_type        text,
    description     text NOT NULL,
    all_owners      boolean NOT NULL,
    enabled         boolean NOT NULL,
    disabled_reason text NOT NULL DEFAULT '',
    secret          text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX subscriptions_of_owner ON webhooks.subscriptions (owner, created_at, id);
CREATE INDEX subscriptions_newest ON webhooks.subscriptions (created_at, id);

COMMENT ON COLUMN webhooks.subscriptions.events IS 'kinds such as job.succeeded; empty means all';
COMMENT ON COLUMN webhooks.subscriptions.job_type IS 'NULL: jobs of any type';
COMMENT ON COLUMN webhooks.subscriptions.all_owners IS 'the jobs of everybody and not of the owner alone';
COMMENT ON COLUMN webhooks.subscriptions.disabled_reason IS 'why Nexus itself has switched it off; empty where its owner did, or nobody';

-- Counts the changes of subscriptions: whoever remembers them asks for it, and
-- changes wait for each other at it.
CREATE TABLE webhooks.revision (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint NOT NULL
);

INSERT INTO webhooks.revision (number) VALUES (1);

-- What the hooks of an owner's jobs are signed with.
CREATE TABLE webhooks.owners (
    owner      text PRIMARY KEY,
    secret     text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE webhooks.deliveries (
    -- Ids grow with time; lists and pages go by them.
    id              uuid PRIMARY KEY,
    subscription_id uuid REFERENCES webhooks.subscriptions ON DELETE CASCADE,
    owner           text NOT NULL,
    event_id        text COLLATE "C" NOT NULL,
    event           text NOT NULL,
    url             text,
    host            text NOT NULL,
    body            text NOT NULL,
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,
    next_at         timestamptz DEFAULT clock_timestamp(),
    claim           uuid,
    last_at         timestamptz,
    response_status integer,
    error           text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at     timestamptz,

    CONSTRAINT url_of_job CHECK ((subscription_id IS NULL) = (url IS NOT NULL)),
    CONSTRAINT next_while_pending CHECK ((status = 'pending') = (next_at IS NOT NULL)),
    CONSTRAINT finished_once CHECK ((status = 'pending') = (finished_at IS NULL)),
    CONSTRAINT claim_while_pending CHECK (claim IS NULL OR status = 'pending')
);

-- One delivery for an event and who hears of it, however often it comes.
CREATE UNIQUE INDEX deliveries_once ON webhooks.deliveries (subscription_id, event_id);
CREATE UNIQUE INDEX deliveries_once_of_job ON webhooks.deliveries (event_id) WHERE subscription_id IS NULL;
CREATE INDEX deliveries_due ON webhooks.deliveries (host, next_at) WHERE status = 'pending';
CREATE INDEX deliveries_newest ON webhooks.deliveries (subscription_id, id);
CREATE INDEX deliveries_finished ON webhooks.deliveries (status, finished_at) WHERE status <> 'pending';

COMMENT ON COLUMN webhooks.deliveries.subscription_id IS 'NULL for the hook of a single job';
COMMENT ON COLUMN webhooks.deliveries.url IS 'that of the hook of a single job; otherwise the subscription has it';
COMMENT ON COLUMN webhooks.deliveries.host IS 'whose turn it takes: no host gets many posts at once';
COMMENT ON COLUMN webhooks.deliveries.next_at IS 'when it is due; while claimed, when the claim ends';
COMMENT ON COLUMN webhooks.deliveries.claim IS 'who is posting it now; only that one may write what came of it';

CREATE TABLE webhooks.outbox (
    id         uuid PRIMARY KEY,
    body       bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
