"""Models go out to other tools and come in from them: files in, files out, with a report that both compute the same."""
