"""Values to what a person sees; opens nothing, measures nothing."""
