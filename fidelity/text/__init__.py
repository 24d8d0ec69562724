"""Reading texts for all metrics: words, sentences, blocks, data, trees, languages."""
