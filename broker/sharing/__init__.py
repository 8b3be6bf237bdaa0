"""Work that is shared out among the processes on one store: who lives, who does what alone, and what others have changed."""
