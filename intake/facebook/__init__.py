"""Messages to the city's page on Facebook: what comes, the conversation that gathers an appeal, what answers."""
