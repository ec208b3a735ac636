DROP TABLE corpus.outbox;
DROP TABLE corpus.remixes;
DROP TABLE corpus.policy_decisions;
DROP TABLE corpus.branch_checkpoints;
DROP TABLE corpus.branches;
DROP TABLE corpus.branch_roots;
