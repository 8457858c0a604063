"""An ensemble file and its networks, read and verified before they are believed."""
