# A misspelt word is an error with a hint, everywhere.
run lits
run help compar
run list methodz
run describe divff
run fetch minst
run reproduce tyo
run bench kernel
run run --repeat 3 x.lua
run new Bad-Name
run new divf
run nothere.lua
run plot nothere
run compare one
DRIFTLINE_KERNELS=avx9 run list kernels
