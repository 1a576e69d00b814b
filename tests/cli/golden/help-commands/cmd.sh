# Each command's own help has the options that apply to it.
for command in run check build search inspect list describe fetch convert plot report export compare dump reproduce simulate bench new version help; do
    run $command --help
done
run help compare
run x.lua --help
