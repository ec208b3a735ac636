package layer

// ethosMarkers appeal to character and authority.
func ethosMarkers() []string {
	return []string{
		"expert", "experts", "expertise", "authority", "authorities", "official", "officials", "professor",
		"doctor", "dr", "scholar", "scholars", "scientist", "scientists", "researcher", "researchers",
		"specialist", "specialists", "veteran", "qualified", "certified", "accredited", "licensed",
		"credentials", "credible", "credibility", "reputation", "reputable", "renowned", "respected", "trusted",
		"trust", "trustworthy", "honest", "honesty", "integrity", "experience", "experienced", "professional",
		"professionals", "university", "institute", "academy", "tradition", "founder", "ethical", "moral",
		"duty", "honour", "honor", "sincerely", "peer-reviewed", "according to", "years of experience",
		"on good authority", "as a doctor", "as a parent", "nobel prize", "i promise", "my word",
	}
}

// pathosMarkers appeal to feeling.
func pathosMarkers() []string {
	return []string{
		"love", "loved", "loves", "beloved", "hate", "hated", "hatred", "fear", "fears", "afraid", "feared",
		"terror", "terrified", "horror", "horrible", "horrifying", "terrible", "tragic", "tragedy", "grief",
		"sorrow", "sad", "sadness", "tears", "cry", "crying", "wept", "pain", "painful", "suffer", "suffers",
		"suffered", "suffering", "misery", "agony", "despair", "desperate", "hope", "hopes", "hopeful", "joy",
		"joyful", "happy", "happiness", "delight", "proud", "pride", "shame", "ashamed", "guilt", "anger",
		"angry", "rage", "outrage", "outrageous", "fury", "furious", "innocent", "helpless", "heart", "hearts",
		"heartbreaking", "heartbroken", "cruel", "cruelty", "brutal", "dream", "dreams", "beautiful",
		"wonderful", "glorious", "precious", "passion", "passionate", "lonely", "nightmare", "dread", "panic",
		"threat", "victim", "victims", "sacrifice", "mercy", "compassion", "courage", "brave", "our children",
		"broken heart", "with all my heart", "how dare you",
	}
}

// logosMarkers appeal to reason and evidence.
func logosMarkers() []string {
	return []string{
		"because", "therefore", "thus", "hence", "consequently", "accordingly", "evidence", "proof", "prove",
		"proves", "proved", "proven", "data", "fact", "facts", "statistics", "statistic", "statistical",
		"percent", "percentage", "figures", "measured", "measurement", "measurements", "study", "studies",
		"survey", "surveys", "research", "experiment", "experiments", "analysis", "analyses", "result",
		"results", "conclude", "concludes", "concluded", "conclusion", "reason", "reasons", "reasoning",
		"logic", "logical", "logically", "rational", "premise", "premises", "infer", "implies", "imply",
		"implied", "demonstrate", "demonstrates", "demonstrated", "demonstrably", "compare", "compared",
		"comparison", "calculate", "calculated", "estimate", "hypothesis", "theory", "theorem", "cause",
		"causes", "caused", "correlation", "as a result", "due to", "it follows that", "if and only if",
		"given that", "on average", "for this reason", "in fact", "for example", "for instance",
		"in conclusion", "studies show",
	}
}

// crowdPhrases argue from how many believe or do something.
func crowdPhrases() []string {
	return []string{
		"everyone knows", "everybody knows", "everyone agrees", "everybody agrees", "everyone is doing",
		"everybody is doing", "everyone's doing", "everybody's doing", "everyone does", "everybody does",
		"everyone else", "everybody else", "everyone believes", "everybody believes", "everyone says",
		"everybody says", "we all know", "all of us know", "as we all know", "nobody believes",
		"no one believes", "nobody doubts", "no one doubts", "most people agree", "most people believe",
		"most people think", "most people know", "millions of people", "millions can't be wrong",
		"millions cannot be wrong", "join the millions", "join millions", "join the crowd",
		"don't be left behind", "don't be left out", "the whole world knows", "the whole world agrees",
		"people everywhere",
	}
}

// dilemmaPhrases leave two ways only.
func dilemmaPhrases() []string {
	return []string{
		"only two choices", "only two options", "only two ways", "only two possibilities",
		"two kinds of people", "no other choice", "no other option", "no other way", "no alternative",
		"no middle ground", "the only alternative", "the only other option", "with us or against us",
		"for us or against us", "love it or leave it", "take it or leave it", "now or never", "all or nothing",
		"do or die", "my way or the highway", "if you're not with us", "if you are not with us",
		"if you aren't with us",
	}
}

// insults run a person down.
func insults() []string {
	return []string{
		"idiot", "idiots", "idiotic", "fool", "fools", "foolish", "moron", "morons", "moronic", "stupid",
		"imbecile", "imbeciles", "dumb", "ignorant", "ignoramus", "liar", "liars", "lying", "hypocrite",
		"hypocrites", "hypocritical", "coward", "cowards", "cowardly", "clown", "clowns", "crook", "crooks",
		"corrupt", "incompetent", "loser", "losers", "lunatic", "lunatics", "crazy", "insane", "pathetic",
		"disgusting", "dishonest", "fraud", "frauds", "traitor", "traitors", "scum", "brainless", "clueless",
		"ridiculous", "charlatan", "charlatans", "buffoon", "what would you know", "who are you to",
	}
}

// opponents are the words that make an insult personal.
func opponents() []string {
	return []string{
		"you", "you're", "your", "he", "he's", "his", "him", "she", "she's", "her", "they", "they're", "their",
		"them", "opponent", "opponents", "critic", "critics", "senator", "minister", "president", "mayor",
		"candidate", "candidates", "politician", "politicians", "speaker", "author", "authors",
	}
}
