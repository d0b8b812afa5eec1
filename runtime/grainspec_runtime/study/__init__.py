"""What attention does during an edit, recorded and drawn: for research, never on by default."""
