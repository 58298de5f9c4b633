"""The command line: verbs, precedence of settings, progress, tables, doctor, bench. Nothing heavy at the top."""
