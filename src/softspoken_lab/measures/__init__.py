"""What is measured of transcripts beside their words: times, natural text, silence kept, words where nobody speaks."""
