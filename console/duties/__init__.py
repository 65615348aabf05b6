"""What the agent does while nobody is looking: follows a scaling, scales by itself."""
