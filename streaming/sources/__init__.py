"""Where frames come from: the detector's own stream, or a folder that another program fills."""
