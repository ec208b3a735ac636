DROP TABLE plugins.layer_outputs;
DROP TABLE plugins.analysis_runs;
