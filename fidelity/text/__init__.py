"""How texts are read, whatever the metric: words, sentences, blocks, data, trees, languages."""
