package layer

// The word lists of the layers: lower case, apostrophes plain, phrases with one
// space between words. Each function returns a fresh list.

// functionWords are the closed word classes of English: they bind a sentence and
// name nothing.
func functionWords() []string {
	return []string{
		"a", "an", "the", "this", "that", "these", "those", "such", "same", "other", "another", "each", "every",
		"either", "neither", "both", "all", "any", "some", "no", "none", "few", "many", "much", "more", "most",
		"several", "enough", "i", "me", "my", "mine", "myself", "we", "us", "our", "ours", "ourselves", "you",
		"your", "yours", "yourself", "yourselves", "he", "him", "his", "himself", "she", "her", "hers",
		"herself", "it", "its", "itself", "they", "them", "their", "theirs", "themselves", "one", "who", "whom",
		"whose", "which", "what", "whoever", "whatever", "someone", "somebody", "something", "anyone",
		"anybody", "anything", "everyone", "everybody", "everything", "nobody", "nothing", "am", "is", "are",
		"was", "were", "be", "been", "being", "have", "has", "had", "having", "do", "does", "did", "doing",
		"done", "will", "would", "shall", "should", "can", "could", "may", "might", "must", "ought", "not",
		"never", "so", "very", "too", "also", "just", "only", "even", "still", "yet", "again", "then", "than",
		"there", "here", "now", "when", "where", "why", "how", "about", "above", "across", "after", "against",
		"along", "among", "around", "as", "at", "before", "behind", "below", "beneath", "beside", "between",
		"beyond", "by", "despite", "down", "during", "except", "for", "from", "in", "inside", "into", "like",
		"near", "of", "off", "on", "onto", "out", "outside", "over", "past", "since", "through", "throughout",
		"to", "toward", "towards", "under", "until", "unto", "up", "upon", "via", "with", "within", "without",
		"and", "but", "or", "nor", "if", "because", "although", "though", "while", "whereas", "unless",
		"whether", "yes", "oh", "i'm", "i'd", "i'll", "i've", "you're", "you'd", "you'll", "you've", "he's",
		"he'd", "he'll", "she's", "she'd", "she'll", "it's", "it'd", "it'll", "we're", "we'd", "we'll", "we've",
		"they're", "they'd", "they'll", "they've", "that's", "there's", "here's", "what's", "who's", "where's",
		"let's", "don't", "doesn't", "didn't", "isn't", "aren't", "wasn't", "weren't", "haven't", "hasn't",
		"hadn't", "won't", "wouldn't", "shan't", "shouldn't", "can't", "cannot", "couldn't", "mightn't",
		"mustn't",
	}
}

// hedges weaken the commitment to a claim.
func hedges() []string {
	return []string{
		"may", "might", "could", "perhaps", "maybe", "possibly", "probably", "presumably", "apparently",
		"seemingly", "arguably", "allegedly", "supposedly", "reportedly", "conceivably", "likely", "unlikely",
		"roughly", "approximately", "somewhat", "fairly", "rather", "almost", "nearly", "largely", "mostly",
		"mainly", "generally", "usually", "often", "sometimes", "typically", "occasionally", "partly",
		"partially", "relatively", "tentatively", "seem", "seems", "seemed", "appear", "appears", "appeared",
		"suggest", "suggests", "suggested", "indicate", "indicates", "tend", "tends", "tended", "assume",
		"assumes", "guess", "suppose", "doubt", "believe", "sort of", "kind of", "more or less", "in general",
		"to some extent", "to a certain extent", "in my opinion", "in our view", "as far as i know",
		"it is possible", "i think", "i feel", "in a sense", "for the most part",
	}
}

// connectives link a statement to the one before.
func connectives() []string {
	return []string{
		"however", "therefore", "moreover", "furthermore", "nevertheless", "nonetheless", "consequently",
		"thus", "hence", "accordingly", "meanwhile", "otherwise", "instead", "besides", "additionally",
		"similarly", "likewise", "conversely", "although", "though", "because", "since", "whereas", "while",
		"unless", "until", "but", "yet", "so", "still", "then", "finally", "firstly", "secondly", "thirdly",
		"lastly", "afterwards", "subsequently", "indeed", "namely", "specifically", "alternatively",
		"in addition", "in contrast", "in fact", "in other words", "in conclusion", "in short", "in particular",
		"in the meantime", "on the other hand", "on the one hand", "on the contrary", "as a result",
		"as a consequence", "for example", "for instance", "for this reason", "at the same time", "after all",
		"above all", "even though", "even so", "so that", "such as", "as well as", "rather than", "by contrast",
		"that is", "to sum up", "due to", "because of", "as soon as",
	}
}

// formalWords mark careful, written language.
func formalWords() []string {
	return []string{
		"therefore", "moreover", "furthermore", "nevertheless", "nonetheless", "consequently", "hence", "thus",
		"thereby", "therein", "thereof", "hereby", "herein", "hereinafter", "whereas", "whereby", "wherein",
		"notwithstanding", "pursuant", "accordingly", "regarding", "concerning", "upon", "shall", "ought",
		"whom", "commence", "terminate", "endeavour", "endeavor", "utilise", "utilize", "facilitate",
		"demonstrate", "ascertain", "obtain", "require", "requires", "required", "sufficient", "insufficient",
		"subsequent", "subsequently", "prior", "substantial", "respectively", "aforementioned", "albeit",
		"in accordance with", "with respect to", "with regard to", "in order to", "subject to",
		"in the event that", "on behalf of", "prior to", "for the purpose of", "sir or madam",
		"yours faithfully", "yours sincerely",
	}
}

// informalWords mark casual, spoken language.
func informalWords() []string {
	return []string{
		"yeah", "yep", "yup", "nope", "nah", "ok", "okay", "hey", "hi", "wow", "huh", "hmm", "uh", "um", "oops",
		"gonna", "wanna", "gotta", "kinda", "sorta", "dunno", "lemme", "gimme", "ain't", "y'all", "cuz", "coz",
		"lol", "omg", "btw", "imo", "idk", "tbh", "thx", "pls", "dude", "guys", "guy", "kid", "kids", "folks",
		"buddy", "bro", "mate", "stuff", "cool", "awesome", "super", "totally", "basically", "literally",
		"crap", "damn", "hell", "sucks", "crazy", "nuts", "bunch", "lots", "tons", "anyway", "whatever",
		"cheers", "bye", "thanks", "a lot", "a bit", "sort of", "kind of", "you know", "i mean", "no way",
		"of course", "come on", "what's up", "got to", "a ton of",
	}
}
