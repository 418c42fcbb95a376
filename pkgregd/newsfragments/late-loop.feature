The log says when the main loop was late by a second or more.
