package evolve

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// The strategies of a merge.
const (
	LeftWins   = "left_wins"
	RightWins  = "right_wins"
	Interleave = "interleave"
)

// Strategies lists the strategies of a merge.
func Strategies() []string { return []string{LeftWins, RightWins, Interleave} }

// ConflictSemantics says how a merge dealt with two texts.
type ConflictSemantics struct {
	Resolution            string `json:"resolution" enum:"identical_inputs,left_preferred,right_preferred,interleaved_union"`
	StrategyEffect        string `json:"strategy_effect" enum:"preserve_left,preserve_right,word_interleave"`
	InputsIdentical       bool   `json:"inputs_identical"`
	DropsNonSelectedInput bool   `json:"drops_non_selected_input"`
	LeftChars             int    `json:"left_chars"`
	LeftWords             int    `json:"left_words"`
	RightChars            int    `json:"right_chars"`
	RightWords            int    `json:"right_words"`
	MergedChars           int    `json:"merged_chars"`
	MergedWords           int    `json:"merged_words"`
	SharedWordCount       int    `json:"shared_word_count"`
	LeftOnlyWordCount     int    `json:"left_only_word_count"`
	RightOnlyWordCount    int    `json:"right_only_word_count"`
	CommonPrefixChars     int    `json:"common_prefix_chars"`
	CommonSuffixChars     int    `json:"common_suffix_chars"`
}

// MergeTexts makes one text of two. Two equal texts stay as they are, whatever the
// strategy. Words are counted as they differ: shared are those of both texts.
func MergeTexts(left, right, strategy string) (string, ConflictSemantics, error) {
	if !slices.Contains(Strategies(), strategy) {
		return "", ConflictSemantics{}, invalidf("Unknown strategy '%s': want one of %v", shorten(strategy), Strategies())
	}
	lw, rw := strings.Fields(left), strings.Fields(right)
	s := ConflictSemantics{InputsIdentical: left == right}
	var merged string
	switch strategy {
	case LeftWins:
		merged, s.Resolution, s.StrategyEffect = left, "left_preferred", "preserve_left"
	case RightWins:
		merged, s.Resolution, s.StrategyEffect = right, "right_preferred", "preserve_right"
	default:
		s.Resolution, s.StrategyEffect = "interleaved_union", "word_interleave"
		merged = left
		if !s.InputsIdentical {
			merged = InterleaveWords(lw, rw)
		}
	}
	if s.InputsIdentical {
		s.Resolution = "identical_inputs"
	}
	s.DropsNonSelectedInput = !s.InputsIdentical && strategy != Interleave
	s.LeftChars, s.RightChars, s.MergedChars = utf8.RuneCountInString(left), utf8.RuneCountInString(right), utf8.RuneCountInString(merged)
	s.LeftWords, s.RightWords, s.MergedWords = len(lw), len(rw), len(strings.Fields(merged))
	s.SharedWordCount, s.LeftOnlyWordCount, s.RightOnlyWordCount = compareWords(lw, rw)
	s.CommonPrefixChars, s.CommonSuffixChars = commonEnds(left, right)
	return merged, s, nil
}

// InterleaveWords puts two lists of words together in turn; what the longer one
// has more comes at the end.
func InterleaveWords(left, right []string) string {
	out := make([]string, 0, len(left)+len(right))
	for i := range max(len(left), len(right)) {
		if i < len(left) {
			out = append(out, left[i])
		}
		if i < len(right) {
			out = append(out, right[i])
		}
	}
	return strings.Join(out, " ")
}

func compareWords(left, right []string) (shared, leftOnly, rightOnly int) {
	inLeft := map[string]bool{}
	for _, w := range left {
		inLeft[w] = true
	}
	inRight := map[string]bool{}
	for _, w := range right {
		if inRight[w] {
			continue
		}
		if inRight[w] = true; inLeft[w] {
			shared++
		}
	}
	return shared, len(inLeft) - shared, len(inRight) - shared
}

// commonEnds counts the characters that two texts begin and end with alike.
func commonEnds(left, right string) (prefix, suffix int) {
	l, r := []rune(left), []rune(right)
	shorter := min(len(l), len(r))
	for prefix < shorter && l[prefix] == r[prefix] {
		prefix++
	}
	for suffix < shorter && l[len(l)-1-suffix] == r[len(r)-1-suffix] {
		suffix++
	}
	return prefix, suffix
}
